import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { duplexPair, FakeGuest, readyFrame } from '../../test/support/fake-guest.js';
import {
  CLOCK_STEP,
  decodeMessage,
  encodePayload,
  HELLO,
  OK,
  PROTOCOL_GENERATION,
  SET_CLOCK,
} from '../protocol/index.js';
import type { AgentClient } from './client.js';
import { type ConnectOptions, connectAgent } from './connect.js';

function greet(options: ConnectOptions = {}): { connecting: Promise<AgentClient>; guest: FakeGuest } {
  const [host, other] = duplexPair();
  const guest = new FakeGuest(other);
  const connecting = connectAgent(host, { timeoutMs: 60_000, ...options });
  connecting.catch(() => {});
  return { connecting, guest };
}

async function nonceOf(guest: FakeGuest): Promise<Uint8Array> {
  return decodeMessage(HELLO, (await guest.next()).payload).nonce;
}

describe('a channel that is released', () => {
  it('stays open for the next conversation, which skips what is left of this one', async () => {
    const { connecting, guest } = greet({ setClock: false });
    await guest.greet();
    const client = await connecting;
    const pending = client.ping();
    const channel = client.release();
    await expect(pending).rejects.toMatchObject({ code: 'AGENT_DISCONNECTED' });
    expect(await client.closed).toMatchObject({ code: 'AGENT_DISCONNECTED' });
    expect(() => client.release()).toThrow(expect.objectContaining({ code: 'AGENT_DISCONNECTED' }));
    const ping = await guest.next();
    guest.frame(ping.streamId, OK.type);
    expect(channel.destroyed).toBe(false);
    const again = connectAgent(channel, { setClock: false });
    channel.resume();
    await guest.greet();
    const next = await again;
    const answered = next.ping();
    guest.frame((await guest.next()).streamId, OK.type);
    expect(await answered).toBeGreaterThanOrEqual(0);
    next.close();
    expect(channel.destroyed).toBe(true);
  });
});

describe('connectAgent', () => {
  it('tells what the guest says of itself, cleaned', async () => {
    const { connecting, guest } = greet({ setClock: false });
    await guest.greet({ kernel: '6.1\u001b[31m\n', bootId: 'b', uptimeUs: 77, capabilities: 1 });
    const client = await connecting;
    expect(client.info).toEqual({
      agentVersion: '0.1.0',
      generation: PROTOCOL_GENERATION,
      kernel: '6.1\\u{1b}[31m\\u{a}',
      bootId: 'b',
      uptimeUs: 77,
      isGuest: true,
      hasCgroups: false,
    });
    client.close();
    expect(await client.closed).toMatchObject({ code: 'AGENT_DISCONNECTED' });
  });

  it('sends the wall clock, or none', async () => {
    const { guest } = greet();
    const { clockNs } = decodeMessage(HELLO, (await guest.next()).payload);
    expect(Math.abs(Number(clockNs / 1_000_000n) - Date.now())).toBeLessThan(5000);
    const other = greet({ setClock: false });
    expect(decodeMessage(HELLO, (await other.guest.next()).payload).clockNs).toBe(0n);
  });

  it('sets the clock again when the greeting waited for the guest to boot', async () => {
    const { connecting, guest } = greet();
    const hello = decodeMessage(HELLO, (await guest.next()).payload);
    await sleep(80);
    const before = Date.now();
    guest.raw(readyFrame(hello.nonce, { capabilities: 1 }));
    const { streamId, type, payload } = await guest.next();
    expect(type).toBe(SET_CLOCK.type);
    // A clock of its own: not the one of the greeting, which is as old as the wait.
    const { clockNs } = decodeMessage(SET_CLOCK, payload);
    expect(clockNs).toBeGreaterThan(hello.clockNs);
    expect(Number(clockNs / 1_000_000n)).toBeGreaterThanOrEqual(before - 1);
    guest.frame(streamId, OK.type, encodePayload(CLOCK_STEP, { beforeNs: 0n, afterNs: 0n }));
    expect((await connecting).info.isGuest).toBe(true);
  });

  it('finds READY behind what an earlier session left, in any pieces', async () => {
    const { connecting, guest } = greet();
    const nonce = await nonceOf(guest);
    const stale = readyFrame(new Uint8Array(16));
    const bytes = Buffer.concat([Buffer.alloc(5000, 0x68), stale, stale.subarray(0, 20), readyFrame(nonce)]);
    for (let at = 0; at < bytes.byteLength; at += 7) {
      guest.raw(bytes.subarray(at, at + 7));
      if (at % 700 === 0) await sleep(0);
    }
    const client = await connecting;
    const pinging = client.ping();
    const ping = await guest.next();
    guest.frame(ping.streamId, 0x03);
    expect(await pinging).toBeGreaterThan(0);
  });

  it('takes up what follows READY in the same piece', async () => {
    const { connecting, guest } = greet();
    const nonce = await nonceOf(guest);
    guest.raw(Buffer.concat([readyFrame(nonce), Buffer.from('00000000000000090310', 'hex')]));
    const client = await connecting;
    expect(await client.closed).toMatchObject({ code: 'AGENT_PROTOCOL_INVALID' });
  });

  it('says HELLO again, and takes as many READYs as it said HELLO', async () => {
    vi.useFakeTimers();
    try {
      const { connecting, guest } = greet({ timeoutMs: 10_000 });
      const nonce = await nonceOf(guest);
      await vi.advanceTimersByTimeAsync(2500);
      expect(guest.frames.map(({ type }) => type)).toEqual([HELLO.type, HELLO.type]);
      guest.raw(Buffer.concat([readyFrame(nonce), readyFrame(nonce), readyFrame(nonce)]));
      await vi.advanceTimersByTimeAsync(10);
      const client = await connecting;
      const pinging = client.ping();
      await vi.advanceTimersByTimeAsync(10);
      guest.frame(1, 0x03);
      await vi.advanceTimersByTimeAsync(10);
      await pinging;
      guest.raw(readyFrame(nonce));
      await vi.advanceTimersByTimeAsync(10);
      expect(await client.closed).toMatchObject({ code: 'AGENT_PROTOCOL_INVALID' });
    } finally {
      vi.useRealTimers();
    }
  });

  it.each([
    ['silence', () => {}, 'AGENT_TIMEOUT'],
    ['another nonce', (guest: FakeGuest) => guest.raw(readyFrame(new Uint8Array(16))), 'AGENT_TIMEOUT'],
    ['an end', (guest: FakeGuest) => guest.channel.end(), 'AGENT_DISCONNECTED'],
    ['a break', (guest: FakeGuest) => guest.channel.destroy(), 'AGENT_DISCONNECTED'],
    ['garbage without end', (guest: FakeGuest) => flood(guest), 'AGENT_PROTOCOL_INVALID'],
  ])('gives up on %s', async (_name, act, code) => {
    const { connecting, guest } = greet({ timeoutMs: code === 'AGENT_TIMEOUT' ? 1500 : 60_000 });
    await guest.next();
    act(guest);
    await expect(connecting).rejects.toMatchObject({ code });
    await expect.poll(() => guest.channel.destroyed).toBe(true);
  });

  function flood(guest: FakeGuest): void {
    const more = (): void => {
      if (!guest.channel.destroyed) guest.channel.write(Buffer.alloc(65_536, 0x8f), () => setImmediate(more));
    };
    more();
  }

  it.each([
    ['another generation', { generation: PROTOCOL_GENERATION + 1 }, 'AGENT_GENERATION_UNSUPPORTED'],
    ['no root file system', { bootError: 'mount /dev/vda: No such device' }, 'AGENT_BOOT_FAILED'],
  ])('refuses a guest with %s', async (_name, changes, code) => {
    const { connecting, guest } = greet();
    await guest.greet(changes);
    await expect(connecting).rejects.toMatchObject({ code });
  });

  it('refuses a READY that does not end', async () => {
    const { connecting, guest } = greet();
    const ready = Buffer.from(readyFrame(await nonceOf(guest)));
    ready.writeUInt32BE(1024 * 1024, 0);
    guest.raw(ready);
    await expect(connecting).rejects.toMatchObject({ code: 'AGENT_PROTOCOL_INVALID' });
  });

  it('stops with the caller’s reason', async () => {
    const reason = new Error('enough');
    await expect(greet({ signal: AbortSignal.abort(reason) }).connecting).rejects.toBe(reason);
    const controller = new AbortController();
    const { connecting, guest } = greet({ signal: controller.signal });
    await guest.next();
    controller.abort(reason);
    await expect(connecting).rejects.toBe(reason);
  });
});
