/**
 * The messages between host and guest agent: their numbers and fields.
 *
 * Source: `protocol/PROTOCOL.md`, "Messages"; the same vectors
 * (`protocol/vectors/message.tsv`) are replayed against `guest/agent/message.c`.
 */
import { type MessageValue, message } from './message-type.js';
import {
  bytes,
  count64,
  fixed,
  list,
  pathText,
  record,
  text,
  u8,
  u16,
  u32,
  u64,
  type ValueOf,
} from './wire.js';

/** Changes whenever either side could misunderstand the other. */
export const PROTOCOL_GENERATION = 1;
export const NONCE_BYTES = 16;
/** What the host may send on channel 0 of a new stream without being asked, in bytes. */
export const INITIAL_WINDOW_BYTES = 64 * 1024;
/** Largest window that may be granted at once, in bytes. */
export const MAX_WINDOW_BYTES = 1024 * 1024;
/** Largest output ring of a detached command, in bytes per channel. */
export const MAX_RING_BYTES = 16 * 1024 * 1024;
export const MAX_ENTROPY_BYTES = 4096;
/** Ids of streams that the agent opens have this bit. */
export const STREAM_FROM_GUEST = 0x8000_0000;
/** Ends like a PNG signature: a channel that alters line ends or strips bit 8 is noticed. */
export const HELLO_MAGIC: Uint8Array = Uint8Array.of(0x68, 0x72, 0x74, 0x68, 0x8f, 0x0d, 0x0a, 0x1a);
const empty = record({});
const magic = fixed(HELLO_MAGIC.byteLength);
const nonce = fixed(NONCE_BYTES);

// Session
export const HELLO = message(0x01, 'HELLO', record({ magic, generation: u32, nonce, clockNs: u64 }));
export const READY = message(
  0x02,
  'READY',
  record({
    magic,
    nonce,
    generation: u32,
    capabilities: u32,
    uptimeUs: count64,
    agentVersion: text,
    kernel: text,
    bootId: text,
    bootError: text,
  }),
);
/** Terminal; its payload depends on the request. */
export const OK = message(0x03, 'OK', empty);
export const ERROR = message(0x04, 'ERROR', record({ code: text, errno: u32, text }));
export const WINDOW = message(0x05, 'WINDOW', record({ channel: u8, bytes: u32 }));
export const RESET = message(0x06, 'RESET', empty);
export const CLOSED = message(0x07, 'CLOSED', empty);

// Commands
export const EXEC_FLAGS = { tty: 1, stdin: 2, detached: 4, createCwd: 8 } as const;
export const EXIT_FLAGS = { timedOut: 1, oomKilled: 2, unreaped: 4 } as const;
export const SIGNAL_TARGETS = { group: 0, process: 1, all: 2 } as const;
export const READY_CAPABILITIES = { guest: 1, cgroups: 2 } as const;

export const EXEC = message(
  0x20,
  'EXEC',
  record({
    flags: u32,
    timeoutMs: u32,
    graceMs: u32,
    windowBytes: u32,
    ringBytes: u32,
    rows: u16,
    columns: u16,
    pidsMax: u32,
    memoryMaxBytes: count64,
    user: text,
    cwd: pathText,
    argv: list(pathText, 5),
    env: list(pathText, 5),
    rlimits: list(record({ resource: u32, soft: u64, hard: u64 }), 20),
  }),
);
export const STARTED = message(
  0x21,
  'STARTED',
  record({
    execId: count64,
    pid: u32,
    stdinWindowBytes: u32,
    stdoutCursor: count64,
    stderrCursor: count64,
  }),
);
export const EXIT = message(
  0x22,
  'EXIT',
  record({
    flags: u32,
    exitCode: u32,
    signal: u32,
    stdoutBytes: count64,
    stderrBytes: count64,
    lostBytes: count64,
    runtimeUs: count64,
    userUs: count64,
    systemUs: count64,
    maxRssKib: count64,
  }),
);
export const SIGNAL = message(0x23, 'SIGNAL', record({ signal: u8, target: u8 }));
export const RESIZE = message(0x24, 'RESIZE', record({ rows: u16, columns: u16 }));
export const ATTACH = message(
  0x25,
  'ATTACH',
  record({ execId: count64, stdoutCursor: count64, stderrCursor: count64, windowBytes: u32 }),
);
export const EXEC_LIST = message(0x26, 'EXEC_LIST', empty);
export const EXEC_FORGET = message(0x27, 'EXEC_FORGET', record({ execId: count64 }));
export const EXEC_KILL = message(0x28, 'EXEC_KILL', record({ execId: count64, signal: u8, target: u8 }));
export const EXEC_STATE_FLAGS = { exited: 1, detached: 2, attached: 4, tty: 8 } as const;
/** The payload of OK after EXEC_LIST. */
export const EXEC_RECORDS = list(
  record({
    execId: count64,
    pid: u32,
    state: u8,
    exitCode: u32,
    signal: u32,
    stdoutBytes: count64,
    stderrBytes: count64,
    name: text,
  }),
  38,
);

// The guest
export const PING = message(0x30, 'PING', empty);
export const SET_CLOCK = message(0x31, 'SET_CLOCK', record({ clockNs: u64 }));
/** The payload of OK after SET_CLOCK. */
export const CLOCK_STEP = record({ beforeNs: u64, afterNs: u64 });
export const ADD_ENTROPY = message(0x32, 'ADD_ENTROPY', record({ creditedBits: u32, bytes }));
export const SET_HOSTNAME = message(0x33, 'SET_HOSTNAME', record({ persist: u8, name: text }));
export const SET_MACHINE_ID = message(0x34, 'SET_MACHINE_ID', record({ machineId: text }));
export const GROW_ROOT = message(0x35, 'GROW_ROOT', record({ sizeBytes: count64 }));
/** The payload of OK after GROW_ROOT. */
export const ROOT_SIZE = record({ sizeBytes: count64 });
export const SYNC = message(0x36, 'SYNC', empty);
export const FREEZE = message(0x37, 'FREEZE', empty);
export const THAW = message(0x38, 'THAW', empty);
export const SHUTDOWN_WAYS = { reboot: 0, poweroff: 1, halt: 2 } as const;
export const SHUTDOWN = message(0x39, 'SHUTDOWN', record({ how: u8, graceMs: u32 }));
export const STATS = message(0x3a, 'STATS', empty);
/** The payload of OK after STATS. */
export const GUEST_STATS = record({
  memoryTotalBytes: count64,
  memoryFreeBytes: count64,
  memoryAvailableBytes: count64,
  load1Milli: u32,
  load5Milli: u32,
  load15Milli: u32,
  uptimeMs: count64,
  processCount: u32,
  diskTotalBytes: count64,
  diskAvailableBytes: count64,
  inodeCount: count64,
  inodeFreeCount: count64,
});
export const SET_NETWORK = message(
  0x3b,
  'SET_NETWORK',
  record({
    interface: text,
    mac: fixed(6),
    address: u32,
    prefixBits: u8,
    gateway: u32,
    nameservers: list(text, 5),
  }),
);
/** What all processes of all commands do from now on. */
export const PROCESSES_WAYS = { 'go on': 0, 'stand still': 1, end: 2 } as const;
export const PROCESSES = message(0x3c, 'PROCESSES', record({ how: u8 }));
export const SET_LIMITS = message(0x3d, 'SET_LIMITS', record({ pidsMax: count64 }));

// Forwards
export const CONNECT = message(
  0x50,
  'CONNECT',
  record({ family: u8, address: text, port: u16, windowBytes: u32 }),
);
export const CONNECTED = message(0x51, 'CONNECTED', empty);
export const LISTEN = message(0x52, 'LISTEN', record({ address: text, port: u16, backlog: u16 }));
export const LISTENING = message(0x53, 'LISTENING', record({ port: u16 }));
export const ACCEPTED = message(0x54, 'ACCEPTED', record({ listenStreamId: u32, peer: text }));

export type ExecRequest = MessageValue<typeof EXEC>;
export type ExitReport = MessageValue<typeof EXIT>;
export type Ready = MessageValue<typeof READY>;
export type Started = MessageValue<typeof STARTED>;
export type GuestStats = ValueOf<typeof GUEST_STATS>;
export type ExecRecords = ValueOf<typeof EXEC_RECORDS>;
