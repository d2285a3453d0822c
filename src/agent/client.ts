/**
 * The host's side of one guest agent: everything that can be asked of a running guest.
 *
 * Every call has a deadline (30 s unless it says otherwise) and takes a signal. A
 * guest that misbehaves closes the channel: `closed` resolves with the reason, which
 * is also what pending and later calls fail with.
 */
import type { Duplex } from 'node:stream';
import { HearthError } from '../errors/index.js';
import {
  ADD_ENTROPY,
  ATTACH,
  CLOCK_STEP,
  EXEC,
  EXEC_FORGET,
  EXEC_KILL,
  EXEC_LIST,
  EXEC_RECORDS,
  EXEC_STATE_FLAGS,
  FREEZE,
  FrameDecoder,
  GROW_ROOT,
  GUEST_STATS,
  type GuestStats,
  MAX_ENTROPY_BYTES,
  type Message,
  PING,
  PROCESSES,
  PROCESSES_WAYS,
  READY,
  ROOT_SIZE,
  record,
  SET_CLOCK,
  SET_HOSTNAME,
  SET_LIMITS,
  SET_MACHINE_ID,
  SET_NETWORK,
  SHUTDOWN,
  SHUTDOWN_WAYS,
  SIGNAL_TARGETS,
  STATS,
  SYNC,
  THAW,
} from '../protocol/index.js';
import { type AgentInfo, agentInfoOf } from './agent-info.js';
import { AgentConnection, type CallOptions, DEFAULT_CALL_TIMEOUT_MS, WINDOW_BYTES } from './connection.js';
import { cleanText } from './errors.js';
import { type ExecSpec, execRequestOf, signalName, signalNumber } from './exec-spec.js';
import { connectGuest, type GuestAddress, type GuestListener, listenInGuest } from './forwards.js';
import { GuestFiles } from './guest-files.js';
import { type GuestNetwork, networkRequest } from './guest-network.js';
import { type GuestProcess, RemoteProcess, type SignalTarget } from './guest-process.js';
import type { HandshakeResult } from './handshake.js';

const NOTHING = record({});

export interface ExecOptions {
  readonly signal?: AbortSignal;
  /** How long the guest may take to start the command; default 30 s. */
  readonly startTimeoutMs?: number;
}

/** A command that the guest knows of. */
export interface ExecRecord {
  readonly execId: number;
  readonly pid: number;
  readonly name: string;
  readonly running: boolean;
  readonly detached: boolean;
  readonly attached: boolean;
  readonly tty: boolean;
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
}

/** The host's wall clock. */
export function nowNs(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}

export class AgentClient implements AsyncDisposable {
  readonly info: AgentInfo;
  readonly files: GuestFiles;
  readonly #connection: AgentConnection;

  constructor(channel: Duplex, handshake: HandshakeResult, stallTimeoutMs: number) {
    this.info = agentInfoOf(handshake.ready);
    this.#connection = new AgentConnection(channel, new FrameDecoder(), stallTimeoutMs);
    this.#connection.expectRepeats(READY.type, handshake.repeats);
    this.files = new GuestFiles(this.#connection);
    if (handshake.rest.byteLength > 0) this.#connection.receive(handshake.rest);
    channel.resume();
  }

  /** Resolves, never rejects, with the reason when the channel has closed. */
  get closed(): Promise<HearthError> {
    return this.#connection.closed;
  }

  /** Closes the channel; what is pending fails with `AGENT_DISCONNECTED`. Commands that are not detached are killed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  close(): void {
    this.#connection.close();
  }

  /**
   * Ends the conversation as `close` does, and gives the channel back, open and paused, for the next one.
   *
   * @throws {HearthError} why the channel has closed.
   */
  release(): Duplex {
    return this.#connection.release();
  }

  /** Starts a command; what goes wrong is told by `started` and `exited`. Throws `USAGE_INVALID` for a bad spec. */
  exec(spec: ExecSpec, options: ExecOptions = {}): GuestProcess {
    const request = execRequestOf(spec, WINDOW_BYTES);
    const name = spec.argv[0];
    return this.#process(
      EXEC,
      request,
      {
        what: JSON.stringify(typeof name === 'string' ? name : Buffer.from(name ?? []).toString()),
        stdin: spec.stdin === true || spec.tty !== undefined,
        limitMs: request.timeoutMs === 0 ? 0 : request.timeoutMs + request.graceMs,
      },
      options,
    );
  }

  /**
   * Takes up a detached command where its output was left, or at the oldest byte that is still kept.
   * The cursors count bytes from the start of the command's output.
   */
  attach(
    execId: number,
    cursors: { readonly stdout: number; readonly stderr: number },
    options: ExecOptions & { readonly stdin?: boolean } = {},
  ): GuestProcess {
    const request = {
      execId,
      stdoutCursor: cursors.stdout,
      stderrCursor: cursors.stderr,
      windowBytes: WINDOW_BYTES,
    };
    return this.#process(
      ATTACH,
      request,
      { what: `command ${execId}`, stdin: options.stdin === true, limitMs: 0 },
      options,
    );
  }

  #process<T>(
    type: Message<T>,
    request: T,
    about: { what: string; stdin: boolean; limitMs: number },
    { signal, startTimeoutMs = DEFAULT_CALL_TIMEOUT_MS }: ExecOptions,
  ): GuestProcess {
    const process = new RemoteProcess({ ...about, startTimeoutMs, signal });
    if (signal?.aborted) {
      process.abandon(signal.reason);
      return process;
    }
    try {
      process.begin(this.#connection.open(type, request, process));
    } catch (error) {
      process.abandon(error);
    }
    return process;
  }

  async listExecs(options?: CallOptions): Promise<ExecRecord[]> {
    const records = await this.#connection.request(EXEC_LIST, {}, EXEC_RECORDS, options);
    return records.map(({ state, name, exitCode, signal, ...figures }) => {
      const exited = (state & EXEC_STATE_FLAGS.exited) !== 0;
      return {
        ...figures,
        name: cleanText(name),
        running: !exited,
        detached: (state & EXEC_STATE_FLAGS.detached) !== 0,
        attached: (state & EXEC_STATE_FLAGS.attached) !== 0,
        tty: (state & EXEC_STATE_FLAGS.tty) !== 0,
        exitCode: exited ? exitCode : undefined,
        signal: exited && signal > 0 ? signalName(signal) : undefined,
      };
    });
  }

  /** Drops what the guest keeps of an ended detached command. */
  async forgetExec(execId: number, options?: CallOptions): Promise<void> {
    await this.#connection.request(EXEC_FORGET, { execId }, NOTHING, options);
  }

  async killExec(
    execId: number,
    signal: NodeJS.Signals | number,
    target: SignalTarget,
    options?: CallOptions,
  ): Promise<void> {
    const request = { execId, signal: signalNumber(signal), target: SIGNAL_TARGETS[target] };
    await this.#connection.request(EXEC_KILL, request, NOTHING, options);
  }

  /** @returns Round trip in ms. */
  async ping(options?: CallOptions): Promise<number> {
    const before = performance.now();
    await this.#connection.request(PING, {}, NOTHING, options);
    return performance.now() - before;
  }

  /** Sets the guest's clock to the host's. @returns By how many ms it was off. */
  async setClock(options?: CallOptions): Promise<number> {
    const wanted = nowNs();
    const { beforeNs } = await this.#connection.request(SET_CLOCK, { clockNs: wanted }, CLOCK_STEP, options);
    return Number((beforeNs - wanted) / 1_000_000n);
  }

  /** Mixes 1..4096 bytes into the guest's random number generator, fully credited, and reseeds it at once. */
  async addEntropy(bytes: Uint8Array, options?: CallOptions): Promise<void> {
    if (bytes.byteLength === 0 || bytes.byteLength > MAX_ENTROPY_BYTES) {
      throw new HearthError('USAGE_INVALID', `${bytes.byteLength} bytes of entropy`, {
        hint: `Give 1 to ${MAX_ENTROPY_BYTES} bytes.`,
        details: { lengthBytes: bytes.byteLength },
      });
    }
    const request = { creditedBits: bytes.byteLength * 8, bytes };
    await this.#connection.request(ADD_ENTROPY, request, NOTHING, options);
  }

  /** `persist` also writes /etc/hostname. */
  async setHostname(name: string, options: CallOptions & { readonly persist?: boolean } = {}): Promise<void> {
    const request = { persist: options.persist === true ? 1 : 0, name };
    await this.#connection.request(SET_HOSTNAME, request, NOTHING, options);
  }

  /** 32 lower-case hexadecimal digits, as in machine-id(5). */
  async setMachineId(machineId: string, options?: CallOptions): Promise<void> {
    await this.#connection.request(SET_MACHINE_ID, { machineId }, NOTHING, options);
  }

  /** Grows the mounted root file system to `sizeBytes`, or to its disk. @returns Its size in bytes. */
  async growRoot(options: CallOptions & { readonly sizeBytes?: number } = {}): Promise<number> {
    const request = { sizeBytes: options.sizeBytes ?? 0 };
    return (await this.#connection.request(GROW_ROOT, request, ROOT_SIZE, options)).sizeBytes;
  }

  /** Configures a network interface of the guest; the address is IPv4. */
  async setNetwork(network: GuestNetwork, options?: CallOptions): Promise<void> {
    await this.#connection.request(SET_NETWORK, networkRequest(network), NOTHING, options);
  }

  /** Holds all commands together to so many processes; 0: no limit. What runs already goes on. */
  async setLimits({ pidsMax }: { readonly pidsMax: number }, options?: CallOptions): Promise<void> {
    await this.#connection.request(SET_LIMITS, { pidsMax }, NOTHING, options);
  }

  /** Dials in the guest: a Duplex with half-close. `GUEST_CONNECT_REFUSED` when nobody listens there. */
  async connect(address: GuestAddress, options?: CallOptions): Promise<Duplex> {
    return await connectGuest(this.#connection, address, options);
  }

  /** Listens in the guest (port 0: any) and hands over each connection. */
  async listen(
    address: { readonly port: number; readonly host?: string },
    onConnection: (duplex: Duplex, peer: string) => void,
    options?: CallOptions,
  ): Promise<GuestListener> {
    return await listenInGuest(this.#connection, address, onConnection, options);
  }

  /**
   * Lets all processes of all commands stand still, go on, or end; resolves once all of them do. While they stand
   * still, a command that is started does, too.
   */
  async allProcesses(how: keyof typeof PROCESSES_WAYS, options?: CallOptions): Promise<void> {
    await this.#connection.request(PROCESSES, { how: PROCESSES_WAYS[how] }, NOTHING, options);
  }

  async sync(options?: CallOptions): Promise<void> {
    await this.#connection.request(SYNC, {}, NOTHING, options);
  }

  /** Writes everything back and stops all writing to the root file system until `thaw`. */
  async freeze(options?: CallOptions): Promise<void> {
    await this.#connection.request(FREEZE, {}, NOTHING, options);
  }

  async thaw(options?: CallOptions): Promise<void> {
    await this.#connection.request(THAW, {}, NOTHING, options);
  }

  async stats(options?: CallOptions): Promise<GuestStats> {
    return await this.#connection.request(STATS, {}, GUEST_STATS, options);
  }

  /**
   * Ends the guest: SIGTERM to all, SIGKILL after `graceMs` (default 0: at once), write back, then
   * `how` (default `reboot`, which ends a QEMU that was started with -no-reboot). Resolves when
   * everything is on the disk; the channel closes right after. Kill the VM if it does not.
   */
  async shutdown(
    options: CallOptions & {
      readonly graceMs?: number;
      readonly how?: keyof typeof SHUTDOWN_WAYS;
    } = {},
  ): Promise<void> {
    const { graceMs = 0, how = 'reboot', timeoutMs = DEFAULT_CALL_TIMEOUT_MS + graceMs, signal } = options;
    await this.#connection.request(SHUTDOWN, { how: SHUTDOWN_WAYS[how], graceMs }, NOTHING, {
      timeoutMs,
      ...(signal === undefined ? {} : { signal }),
    });
  }
}
