/**
 * Garbage at the agent, built with AddressSanitizer and UndefinedBehaviorSanitizer: it must neither crash nor
 * leak nor stop answering. Requests that change files are left out: the agent would do them.
 *
 * Replay one run: HEARTH_FUZZ_SEED=<seed it names> HEARTH_FUZZ_RUNS=1 npx vitest run test/fuzz/hostile-host
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { beforeAll, describe, expect, it } from 'vitest';
import { connectAgent } from '../../src/agent/index.js';
import {
  ATTACH,
  CONNECT,
  EXEC,
  EXEC_KILL,
  EXEC_LIST,
  encodeFrame,
  encodeMessage,
  FILE_LIST,
  FILE_READ,
  HELLO,
  HELLO_MAGIC,
  LISTEN,
  type Message,
  PING,
  PROCESSES,
  RESET,
  RESIZE,
  SIGNAL,
  STATS,
  WINDOW,
} from '../../src/protocol/index.js';
import { AGENTS, buildAgents } from '../support/agent.js';
import { fuzzPlan, Random } from './random.js';

const NOBODY = 65_534;
const emptyExec = {
  flags: 0,
  timeoutMs: 0,
  graceMs: 0,
  windowBytes: 65_536,
  ringBytes: 0,
  rows: 0,
  columns: 0,
  pidsMax: 0,
  memoryMaxBytes: 0,
  user: String(NOBODY),
  cwd: '',
  argv: ['/bin/true'],
  env: [],
  rlimits: [],
};
function valid<T>(type: Message<T>, value: T): readonly [number, Uint8Array] {
  return [type.type, encodeMessage(type, value)];
}
/** Taken as they are: a mutation of them could do something. */
const FIXED: readonly (readonly [number, Uint8Array])[] = [
  valid(EXEC, emptyExec),
  valid(EXEC, { ...emptyExec, argv: ['/bin/cat'], flags: 2 }),
  valid(EXEC, { ...emptyExec, argv: ['/bin/cat'], flags: 3 }),
  valid(EXEC, { ...emptyExec, argv: ['/usr/bin/yes'], flags: 4, ringBytes: 5000, timeoutMs: 50 }),
  valid(EXEC, { ...emptyExec, argv: ['/no/such'] }),
  valid(EXEC, { ...emptyExec, argv: ['/usr/bin/head', '-c', '300000', '/dev/zero'] }),
  valid(LISTEN, { address: '127.0.0.1', port: 0, backlog: 5 }),
  valid(CONNECT, { family: 0, address: '127.0.0.1', port: 1, windowBytes: 100 }),
  valid(FILE_LIST, { path: '/usr' }),
  valid(FILE_READ, { offsetBytes: 0n, lengthBytes: 100_000n, path: '/etc/passwd' }),
];
const MUTABLE: readonly (readonly [number, Uint8Array])[] = [
  valid(PING, {}),
  valid(STATS, {}),
  valid(EXEC_LIST, {}),
  valid(RESET, {}),
  valid(WINDOW, { channel: 1, bytes: 65_536 }),
  valid(RESIZE, { rows: 3, columns: 4 }),
  valid(PROCESSES, { how: 2 }),
  valid(SIGNAL, { signal: 15, target: 0 }),
  valid(EXEC_KILL, { execId: 1, signal: 9, target: 2 }),
  valid(ATTACH, { execId: 1, stdoutCursor: 0, stderrCursor: 0, windowBytes: 65_536 }),
  valid(HELLO, { magic: HELLO_MAGIC, generation: 1, nonce: new Uint8Array(16), clockNs: 0n }),
  [0x10, Buffer.from('input')],
  [0x10, new Uint8Array()],
  [0x7f, Buffer.alloc(40)],
  [0x00, new Uint8Array()],
];

function say(random: Random): Uint8Array {
  const streamId = random.below(30) === 0 ? random.next() : random.below(40);
  if (random.below(3) === 0) {
    const [type, payload] = random.pick(FIXED);
    return Buffer.concat(encodeFrame({ streamId, type, payload }));
  }
  const [type, payload] = random.pick(MUTABLE);
  const changed = random.below(3) === 0 ? random.mutate(payload) : payload;
  const frame = Buffer.concat(
    encodeFrame({ streamId: type === HELLO.type ? 0 : streamId, type, payload: changed }),
  );
  return random.below(25) === 0 ? frame.subarray(0, random.below(frame.byteLength)) : frame;
}

async function playOnce(path: string, seed: number): Promise<void> {
  const random = new Random(seed);
  const isRoot = process.getuid?.() === 0;
  const child = spawn(path, ['--serve-fd', '3'], {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    env: {},
    ...(isRoot ? { uid: NOBODY, gid: NOBODY } : {}),
  });
  const ended = once(child, 'exit');
  const channel = child.stdio[3] as Duplex;
  channel.on('error', () => {});
  channel.resume();
  const hello = { magic: HELLO_MAGIC, generation: 1, nonce: random.bytes(16), clockNs: 0n };
  channel.write(
    Buffer.concat(encodeFrame({ streamId: 0, type: HELLO.type, payload: encodeMessage(HELLO, hello) })),
  );
  for (let words = random.below(120); words > 0; words--) {
    channel.write(say(random));
    if (random.below(10) === 0) await new Promise((resolve) => setTimeout(resolve, random.below(5)));
  }
  // After the longest time that a broken-off frame can hold up a new session, it still answers.
  await new Promise((resolve) => setTimeout(resolve, 120));
  channel.removeAllListeners('data');
  const client = await connectAgent(channel, { timeoutMs: 10_000 });
  expect((await client.exec({ ...emptyExec, argv: ['/bin/true'], env: {} }).exited).exitCode).toBe(0);
  client.close();
  expect(await ended).toEqual([0, null]);
}

describe.each(AGENTS)('%s against a host that says anything', (_name, path) => {
  beforeAll(buildAgents);

  it('answers afterwards and ends cleanly', async () => {
    const { seed, runs } = fuzzPlan(40);
    for (let round = 0; round < runs; round++) {
      await playOnce(path, seed + round).catch((error: unknown) => {
        throw new Error(`HEARTH_FUZZ_SEED=${seed + round} HEARTH_FUZZ_RUNS=1`, { cause: error });
      });
    }
  });
});
