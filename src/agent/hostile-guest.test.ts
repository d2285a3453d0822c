/** What a guest can do that an agent would not: each ends the channel with a code, and nothing else. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { duplexPair, FakeGuest } from '../../test/support/fake-guest.js';
import {
  ACCEPTED,
  CLOSED,
  CONNECTED,
  ENTRY_COUNT,
  ERROR,
  EXIT,
  encodePayload,
  FILE_ENTRY,
  LISTENING,
  OK,
  RESET,
  STARTED,
  WINDOW,
} from '../protocol/index.js';
import type { AgentClient } from './client.js';
import { connectAgent } from './connect.js';
import { encodeEntry, type NewEntry } from './file-entry.js';

let client: AgentClient;
let guest: FakeGuest;
beforeEach(async () => {
  const [host, other] = duplexPair();
  guest = new FakeGuest(other);
  [client] = await Promise.all([connectAgent(host, { stallTimeoutMs: 500 }), guest.greet()]);
});
afterEach(() => {
  vi.useRealTimers();
  client.close();
});

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const started = { execId: 1, pid: 2, stdinWindowBytes: 65_536, stdoutCursor: 0, stderrCursor: 0 };
const exit = {
  flags: 0,
  exitCode: 0,
  signal: 0,
  stdoutBytes: 0,
  stderrBytes: 0,
  lostBytes: 0,
  runtimeUs: 0,
  userUs: 0,
  systemUs: 0,
  maxRssKib: 0,
};
const data = (guestStream: number, channel: number, sizeBytes: number): void =>
  guest.frame(guestStream, 0x10 + channel, new Uint8Array(sizeBytes));

describe('frames out of place', () => {
  const twice = (act: (turn: number) => void): void => {
    act(0);
    act(1);
  };
  const end = (changes: Partial<typeof exit>): void => {
    guest.send(1, STARTED, started);
    guest.send(1, EXIT, { ...exit, ...changes });
  };
  const cases: readonly (readonly [string, () => void])[] = [
    ['a stream that was never opened', () => data(99, 1, 1)],
    [
      'a connection without a listener',
      () => guest.send(0x8000_0001, ACCEPTED, { listenStreamId: 1, peer: '' }),
    ],
    ['an answer on the control stream', () => guest.send(0, OK, {})],
    ['a window on the control stream', () => guest.send(0, WINDOW, { channel: 0, bytes: 1 })],
    ['a message of the host', () => guest.frame(1, 0x20)],
    ['STARTED twice', () => twice(() => guest.send(1, STARTED, started))],
    ['EXIT before STARTED', () => guest.send(1, EXIT, exit)],
    ['OK for a command', () => guest.send(1, OK, {})],
    ['CLOSED for a command', () => guest.send(1, CLOSED, {})],
    ['an exit code of 256', () => end({ exitCode: 256 })],
    ['a signal of 65', () => end({ signal: 65 })],
    ['a count of 2^53', () => guest.frame(1, STARTED.type, Buffer.alloc(32, 0x20))],
    ['a message that is too short', () => guest.frame(1, STARTED.type, Buffer.alloc(31))],
    ['a message that is too long', () => guest.frame(1, STARTED.type, Buffer.alloc(33))],
    ['an error without its text', () => guest.frame(1, ERROR.type, Buffer.alloc(4))],
    ['a window of nothing', () => guest.send(1, WINDOW, { channel: 0, bytes: 0 })],
    [
      'windows of more than 1 MiB together',
      () => twice((turn) => guest.send(1, WINDOW, { channel: 0, bytes: 1024 * 1024 - 1 + turn })),
    ],
    ['a window for what the guest sends', () => guest.send(1, WINDOW, { channel: 1, bytes: 1 })],
    ['data on the input', () => data(1, 0, 1)],
    ['data after the end of its channel', () => twice((sizeBytes) => data(1, 1, sizeBytes))],
    ['more than was granted', () => [65_536, 65_536, 1].map((sizeBytes) => data(1, 2, sizeBytes))],
    ['a second end', () => twice(() => end({}))],
  ];
  const headers: readonly (readonly [string, () => void])[] = [
    ['bytes that are no frame', () => guest.raw(Buffer.alloc(64, 0xff))],
    ['a length of 4 GiB', () => guest.raw('ffffffff0000000110')],
    ['a data frame above 64 KiB', () => guest.raw('000100010000000111')],
  ];

  it.each([
    ...cases.map(([name, act]) => [name, 'AGENT_PROTOCOL_INVALID', act] as const),
    ...headers.map(([name, act]) => [name, 'FRAME_TOO_LARGE', act] as const),
  ])('%s: %s', async (_name, code, act) => {
    const closing = new Promise((resolve) => guest.channel.on('close', resolve));
    const command = client.exec({ argv: ['true'] });
    const other = client.exec({ argv: ['true'] });
    const pinging = client.ping();
    pinging.catch(() => {});
    await guest.next();
    act();
    const reason = await client.closed;
    expect(reason).toMatchObject({ code });
    await expect(other.exited).rejects.toBe(reason);
    await expect(other.started).rejects.toBe(reason);
    await expect(pinging).rejects.toBe(reason);
    await expect(client.ping()).rejects.toBe(reason);
    await expect(client.exec({ argv: ['true'] }).exited).rejects.toBe(reason);
    await Promise.allSettled([command.exited]);
    await closing;
  });
});

describe('answers', () => {
  it('that come twice end the channel after the first', async () => {
    const pinging = client.ping();
    const { streamId } = await guest.next();
    guest.send(streamId, OK, {});
    guest.send(streamId, OK, {});
    await pinging;
    expect(await client.closed).toMatchObject({ code: 'AGENT_PROTOCOL_INVALID' });
  });

  it.each([
    ['of another kind', EXIT.type, encodePayload(EXIT.field, exit)],
    ['with bytes left over', OK.type, Buffer.alloc(1)],
  ])('%s fail the call and the channel', async (_name, type, payload) => {
    const syncing = client.sync();
    syncing.catch(() => {});
    guest.frame((await guest.next()).streamId, type, payload);
    await expect(syncing).rejects.toMatchObject({ code: 'AGENT_PROTOCOL_INVALID' });
    expect(await client.closed).toMatchObject({ code: 'AGENT_PROTOCOL_INVALID' });
  });

  it('that are errors are told with our codes and cleaned texts', async () => {
    const syncing = client.sync();
    syncing.catch(() => {});
    const text = `\u001b]52;c;x\u0007${'long '.repeat(1000)}`;
    guest.send((await guest.next()).streamId, ERROR, { code: 'SYSTEM_FAILED', errno: 28, text });
    const error = await syncing.catch((reason: Error) => reason);
    expect(error).toMatchObject({ code: 'GUEST_DISK_FULL', details: { errno: 'ENOSPC' } });
    expect(String(error)).not.toMatch(/[\p{Cc}]/u);
    expect(String(error).length).toBeLessThan(1000);
    const pinging = client.ping();
    guest.send((await guest.next()).streamId, OK, {});
    await pinging;
  });

  it('with an unknown code become AGENT_REQUEST_FAILED', async () => {
    const syncing = client.sync();
    syncing.catch(() => {});
    guest.send((await guest.next()).streamId, ERROR, { code: 'INTERNAL', errno: 99_999, text: '' });
    await expect(syncing).rejects.toMatchObject({
      code: 'AGENT_REQUEST_FAILED',
      details: { guestCode: 'INTERNAL' },
    });
  });
});

describe('silence', () => {
  const calls: readonly (readonly [string, () => Promise<unknown>])[] = [
    ['ping', () => client.ping({ timeoutMs: 1000 })],
    ['stats', () => client.stats({ timeoutMs: 1000 })],
    ['setClock', () => client.setClock({ timeoutMs: 1000 })],
    ['addEntropy', () => client.addEntropy(new Uint8Array(1), { timeoutMs: 1000 })],
    ['shutdown', () => client.shutdown({ timeoutMs: 1000 })],
    ['connect', () => client.connect({ port: 1 }, { timeoutMs: 1000 })],
    ['listen', () => client.listen({ port: 1 }, () => {}, { timeoutMs: 1000 })],
    ['read', () => client.files.read('/x', { maxBytes: 1, timeoutMs: 1000 })],
    ['write', () => client.files.write('/x', new Uint8Array(1), { timeoutMs: 1000 })],
    ['list', () => client.files.list('/x', { timeoutMs: 1000 })],
    ['readTree', () => client.files.readTree('/x', { timeoutMs: 1000 }).next()],
    ['writeTree', () => client.files.writeTree('/x', [], { timeoutMs: 1000 })],
    ['exec', () => client.exec({ argv: ['true'] }, { startTimeoutMs: 1000 }).exited],
  ];

  it.each(calls)(
    'ends %s with AGENT_TIMEOUT, then the channel unless the guest lets go',
    async (_name, call) => {
      vi.useFakeTimers();
      const calling = call();
      calling.catch(() => {});
      await vi.advanceTimersByTimeAsync(900);
      const opened = guest.frames[0];
      expect(guest.frames.some(({ type }) => type === RESET.type)).toBe(false);
      await vi.advanceTimersByTimeAsync(200);
      await expect(calling).rejects.toMatchObject({ code: 'AGENT_TIMEOUT' });
      expect(guest.frames.at(-1)).toMatchObject({ type: RESET.type, streamId: opened?.streamId });
      // Late frames of the stream that was given up are no offence.
      data(opened?.streamId ?? 0, 1, 5);
      guest.send(opened?.streamId ?? 0, CLOSED, {});
      await vi.advanceTimersByTimeAsync(20_000);
      const again = call();
      again.catch(() => {});
      await vi.advanceTimersByTimeAsync(1100 + 10_000);
      expect(await client.closed).toMatchObject({ code: 'AGENT_TIMEOUT' });
    },
  );

  it('after the time limit of a command ends the call', async () => {
    vi.useFakeTimers();
    const command = client.exec({ argv: ['true'], timeoutMs: 1000, graceMs: 500 });
    await vi.advanceTimersByTimeAsync(1);
    guest.send(1, STARTED, started);
    await vi.advanceTimersByTimeAsync(16_000);
    expect(guest.frames.at(-1)?.type).not.toBe(RESET.type);
    await vi.advanceTimersByTimeAsync(1000);
    await expect(command.exited).rejects.toMatchObject({ code: 'AGENT_TIMEOUT' });
  });

  it('of a guest that takes nothing ends the channel', async () => {
    guest.channel.pause();
    const commands = Array.from({ length: 8 }, () => client.exec({ argv: ['x'.repeat(900_000)] }));
    const refused = await Promise.allSettled(commands.map(({ exited }) => exited));
    const codes = refused.map((result) => result.status === 'rejected' && result.reason.code);
    expect(codes).toContain('AGENT_BUSY');
    expect(codes).toContain('AGENT_TIMEOUT');
    expect(await client.closed).toMatchObject({ code: 'AGENT_TIMEOUT' });
  });
});

describe('memory', () => {
  it('stays bounded under a flood of one-byte frames that nobody reads', async () => {
    const commands = Array.from({ length: 4 }, () => client.exec({ argv: ['yes'] }));
    while (guest.frames.length < 4) await new Promise(setImmediate);
    const one = Buffer.from('000000010000000011', 'hex');
    collectGarbage();
    const before = process.memoryUsage();
    for (const { streamId } of guest.frames.splice(0)) {
      guest.send(streamId, STARTED, started);
      const pieces: Buffer[] = [];
      for (let sent = 0; sent < 128 * 1024; sent++) {
        const frame = Buffer.concat([one, Buffer.of(0x61)]);
        frame.writeUInt32BE(streamId, 4);
        pieces.push(frame);
      }
      guest.raw(Buffer.concat(pieces));
      await new Promise(setImmediate);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
    collectGarbage();
    const after = process.memoryUsage();
    const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
    expect(grown).toBeLessThan(24 * 1024 * 1024);
    expect(commands.every(({ stdout }) => stdout.readableLength <= 128 * 1024)).toBe(true);
  });
});

describe('listeners', () => {
  it('take no more connections than streams, and refuse the rest', async () => {
    const taken: unknown[] = [];
    const listening = client.listen({ port: 0 }, (duplex) => taken.push(duplex));
    const { streamId } = await guest.next();
    guest.send(streamId, LISTENING, { port: 80 });
    await listening;
    for (let number = 0; number < 200; number++) {
      guest.send(0x8000_0000 + number, ACCEPTED, { listenStreamId: streamId, peer: 'x' });
    }
    while (guest.frames.length < 200) await new Promise(setImmediate);
    const resets = guest.frames.filter(({ type }) => type === RESET.type).length;
    expect(taken.length + resets).toBe(200);
    expect(taken.length).toBeLessThanOrEqual(128);
    for (let number = 200; number < 500; number++) {
      guest.send(0x8000_0000 + number, ACCEPTED, { listenStreamId: streamId, peer: 'x' });
    }
    expect(await client.closed).toMatchObject({ code: 'AGENT_PROTOCOL_INVALID' });
  });

  it('forgive a connection that crosses their end', async () => {
    const listening = client.listen({ port: 0 }, () => {});
    const { streamId } = await guest.next();
    guest.send(streamId, LISTENING, { port: 80 });
    (await listening).close();
    guest.send(0x8000_0000, ACCEPTED, { listenStreamId: streamId, peer: 'x' });
    guest.send(streamId, CLOSED, {});
    guest.send(0x8000_0000, CLOSED, {});
    const pinging = client.ping();
    for (let frame = await guest.next(); ; frame = await guest.next()) {
      if (frame.type === 0x30) {
        guest.send(frame.streamId, OK, {});
        break;
      }
    }
    await pinging;
    guest.send(0x8000_0001, ACCEPTED, { listenStreamId: streamId, peer: 'x' });
    expect(await client.closed).toMatchObject({ code: 'AGENT_PROTOCOL_INVALID' });
  });

  it('refuse data before a connection', async () => {
    const connecting = client.connect({ port: 1 });
    connecting.catch(() => {});
    const { streamId } = await guest.next();
    data(streamId, 0, 1);
    await expect(connecting).rejects.toMatchObject({ code: 'AGENT_PROTOCOL_INVALID' });
    expect(CONNECTED.type).toBe(0x51);
  });
});

describe('names of files', () => {
  const directory = (path: string): NewEntry => ({ path, kind: 'directory', mode: 0o755 });
  const file = (path: string): NewEntry => ({ path, kind: 'file', mode: 0o644 });
  const link = (path: string): NewEntry => ({ path, kind: 'symlink', mode: 0o777, target: '/etc' });
  const cases: readonly (readonly [string, NewEntry[]])[] = [
    ['above the tree', [directory(''), file('..')]],
    ['with .. inside', [directory(''), directory('a'), file('a/..')]],
    ['absolute', [directory(''), file('/etc/passwd')]],
    ['below a link', [directory(''), link('a'), file('a/passwd')]],
    ['below a file', [directory(''), file('a'), file('a/b')]],
    ['below nothing', [directory(''), file('a/b')]],
    ['below a directory that is done', [directory(''), directory('a'), directory('b'), file('a/c')]],
    ['empty inside', [directory(''), directory('a'), file('a//b')]],
    ['a dot', [directory(''), file('.')]],
    ['a second root', [directory(''), directory('')]],
    ['anything without a root', [file('a')]],
    ['below a root that is a file', [file(''), file('a')]],
  ];
  it.each(cases)('%s end the channel', async (_name, entries) => {
    const reading = (async () => {
      for await (const _item of client.files.readTree('/x'));
    })();
    reading.catch(() => {});
    const { streamId } = await guest.next();
    guest.frame(streamId, 0x11, Buffer.concat([...entries.map(encodeEntry), Buffer.alloc(4)]));
    guest.frame(streamId, OK.type, encodePayload(ENTRY_COUNT, { count: entries.length }));
    await expect(reading).rejects.toMatchObject({ code: 'AGENT_PROTOCOL_INVALID' });
    expect(await client.closed).toMatchObject({ code: 'AGENT_PROTOCOL_INVALID' });
  });

  it('accept an honest tree', async () => {
    const names: string[] = [];
    const entries = [directory(''), directory('a'), directory('a/b'), file('a/b/c'), link('a/d'), file('e')];
    const reading = (async () => {
      for await (const { entry } of client.files.readTree('/x'))
        names.push(Buffer.from(entry.path).toString());
    })();
    const { streamId } = await guest.next();
    guest.frame(streamId, 0x11, Buffer.concat([...entries.map(encodeEntry), Buffer.alloc(4)]));
    guest.frame(streamId, OK.type, encodePayload(ENTRY_COUNT, { count: entries.length }));
    await reading;
    expect(names).toEqual(['', 'a', 'a/b', 'a/b/c', 'a/d', 'e']);
    expect(FILE_ENTRY).toBeDefined();
  });

  it.each([
    ['an entry of 4 GiB', Buffer.from('ffffffff', 'hex')],
    ['an entry that is cut off', encodeEntry(directory('')).subarray(0, 20)],
    ['a file of no kind', Buffer.concat([encodeEntry(directory('')).subarray(0, 9), Buffer.alloc(60, 0xff)])],
  ])('in %s end the channel', async (_name, bytes) => {
    const listing = client.files.list('/x');
    listing.catch(() => {});
    const { streamId } = await guest.next();
    guest.frame(streamId, 0x11, bytes);
    guest.frame(streamId, OK.type, encodePayload(ENTRY_COUNT, { count: 1 }));
    await expect(listing).rejects.toMatchObject({ code: 'AGENT_PROTOCOL_INVALID' });
    expect(await client.closed).toMatchObject({ code: 'AGENT_PROTOCOL_INVALID' });
  });

  it('that never reached their end are no success', async () => {
    const reading = client.files.read('/x', { maxBytes: 100 });
    reading.catch(() => {});
    const { streamId } = await guest.next();
    guest.frame(streamId, 0x11, Buffer.from('half'));
    guest.frame(streamId, 0x11);
    guest.send(streamId, ERROR, { code: 'FILE_FAILED', errno: 5, text: '/x: Input/output error' });
    await expect(reading).rejects.toMatchObject({ code: 'AGENT_REQUEST_FAILED', details: { errno: 'EIO' } });
  });
});
