/**
 * A guest that says anything: valid, mutated and random frames against the host's side.
 * Whatever comes, every call ends, with an error of ours or a result; nothing is left open.
 *
 * Replay one run: HEARTH_FUZZ_SEED=<seed it names> HEARTH_FUZZ_RUNS=1 npx vitest run test/fuzz/hostile-guest
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentClient, connectAgent } from '../../src/agent/index.js';
import { HearthError } from '../../src/errors/index.js';
import {
  ACCEPTED,
  CLOSED,
  CONNECTED,
  decodeMessage,
  ERROR,
  EXIT,
  encodeFrame,
  encodeMessage,
  HELLO,
  LISTENING,
  type Message,
  OK,
  STARTED,
  WINDOW,
} from '../../src/protocol/index.js';
import { duplexPair, FakeGuest, readyFrame } from '../support/fake-guest.js';
import { fuzzPlan, Random } from './random.js';

const CALLS: readonly ((client: AgentClient) => Promise<unknown>)[] = [
  (client) => client.ping({ timeoutMs: 300 }),
  (client) => client.stats({ timeoutMs: 300 }),
  (client) => client.listExecs({ timeoutMs: 300 }),
  (client) => client.setClock({ timeoutMs: 300 }),
  (client) => client.growRoot({ timeoutMs: 300 }),
  (client) => client.allProcesses('end', { timeoutMs: 300 }),
  (client) => client.files.stat('/x', { timeoutMs: 300 }),
  (client) => client.files.list('/x', { timeoutMs: 300 }),
  (client) => client.files.read('/x', { maxBytes: 1000, timeoutMs: 300 }),
  (client) => client.files.write('/x', Buffer.alloc(100_000), { timeoutMs: 300 }),
  (client) =>
    client.files.writeTree('/x', [{ entry: { path: 'a', kind: 'fifo', mode: 0 } }], { timeoutMs: 300 }),
  async (client) => {
    for await (const { content } of client.files.readTree('/x', { timeoutMs: 300 }))
      for await (const _piece of content);
  },
  async (client) => {
    const duplex = await client.connect({ port: 1 }, { timeoutMs: 300 });
    duplex.end('x');
    for await (const _chunk of duplex);
  },
  async (client) =>
    (await client.listen({ port: 1 }, (duplex) => duplex.resume(), { timeoutMs: 300 })).closed,
  async (client) => {
    const guest = client.exec({ argv: ['x'], stdin: true }, { startTimeoutMs: 300 });
    guest.stdin?.end(Buffer.alloc(200_000));
    guest.stdout.resume();
    await guest.exited;
  },
];

const figures = {
  stdoutBytes: 0,
  stderrBytes: 0,
  lostBytes: 0,
  runtimeUs: 0,
  userUs: 0,
  systemUs: 0,
  maxRssKib: 0,
};
function valid<T>(type: Message<T>, value: T): readonly [number, Uint8Array] {
  return [type.type, encodeMessage(type, value)];
}
const MESSAGES: readonly (readonly [number, Uint8Array])[] = [
  valid(OK, {}),
  valid(CLOSED, {}),
  valid(CONNECTED, {}),
  valid(LISTENING, { port: 80 }),
  valid(ERROR, { code: 'FILE_FAILED', errno: 2, text: 'no' }),
  valid(WINDOW, { channel: 0, bytes: 65_536 }),
  valid(STARTED, { execId: 1, pid: 1, stdinWindowBytes: 65_536, stdoutCursor: 0, stderrCursor: 0 }),
  valid(EXIT, { flags: 0, exitCode: 0, signal: 0, ...figures }),
  valid(ACCEPTED, { listenStreamId: 1, peer: 'x' }),
  [OK.type, Buffer.alloc(8)],
  [OK.type, Buffer.alloc(16)],
  [0x10, Buffer.alloc(100)],
  [0x11, new Uint8Array()],
  [0x11, Buffer.from('00000000', 'hex')],
  [0x12, Buffer.alloc(65_536)],
];

/** One thing that the guest says. */
function say(random: Random, streamCount: number): Uint8Array {
  if (random.below(20) === 0) return random.bytes(random.below(100));
  const [type, payload] = random.pick(MESSAGES);
  const streamId =
    random.below(10) === 0 ? random.pick([0, 0x80000000, 0xffffffff, 999]) : 1 + random.below(streamCount);
  const frame = Buffer.concat(
    encodeFrame({
      streamId,
      type,
      payload: random.below(4) === 0 ? random.mutate(payload).subarray(0, 65_536) : payload,
    }),
  );
  return random.below(15) === 0 ? random.mutate(frame) : frame;
}

async function playOnce(seed: number): Promise<void> {
  const random = new Random(seed);
  const [host, other] = duplexPair();
  const guest = new FakeGuest(other);
  const connecting = connectAgent(host, { timeoutMs: 1000, stallTimeoutMs: 1000 });
  const { nonce } = decodeMessage(HELLO, (await guest.next()).payload);
  guest.raw(random.bytes(random.below(50)));
  guest.raw(readyFrame(nonce));
  const client = await connecting;
  const calls = Array.from({ length: 1 + random.below(6) }, () => random.pick(CALLS)(client));
  const settled = Promise.allSettled(calls);
  for (let words = random.below(40); words > 0 && !other.destroyed; words--) {
    guest.raw(say(random, calls.length));
    if (random.below(3) === 0) await new Promise(setImmediate);
  }
  if (random.below(2) === 0) client.close();
  for (const result of await settled) {
    if (result.status === 'fulfilled') continue;
    if (!HearthError.is(result.reason)) throw result.reason;
  }
  client.close();
  expect(HearthError.is(await client.closed)).toBe(true);
}

describe('the host against a guest that says anything', () => {
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown): void => {
    unhandled.push(reason);
  };
  beforeAll(() => void process.on('unhandledRejection', onUnhandled));
  afterAll(() => void process.off('unhandledRejection', onUnhandled));

  it('ends every call and leaves nothing behind', async () => {
    const { seed, runs } = fuzzPlan(400);
    for (let round = 0; round < runs; round += 20) {
      const seeds = Array.from({ length: Math.min(20, runs - round) }, (_, index) => seed + round + index);
      const results = await Promise.allSettled(seeds.map(playOnce));
      await new Promise(setImmediate);
      results.forEach((result, index) => {
        if (result.status === 'rejected') {
          throw new Error(`HEARTH_FUZZ_SEED=${seeds[index]} HEARTH_FUZZ_RUNS=1`, { cause: result.reason });
        }
      });
      expect(unhandled, `a seed in ${seeds[0]}..${seeds.at(-1)}`).toEqual([]);
    }
  });
});
