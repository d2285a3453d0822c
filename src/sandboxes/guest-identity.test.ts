/** A resumed VM that does not confirm what it must have for itself is never used. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { duplexPair, FakeGuest } from '../../test/support/fake-guest.js';
import { type AgentClient, connectAgent } from '../agent/index.js';
import {
  ADD_ENTROPY,
  CLOCK_STEP,
  ERROR,
  EXEC_LIST,
  EXEC_RECORDS,
  encodePayload,
  OK,
  PROCESSES,
  SET_CLOCK,
  SET_HOSTNAME,
  SET_MACHINE_ID,
} from '../protocol/index.js';
import { endCommands, giveIdentity } from './guest-identity.js';

let agent: AgentClient;
let guest: FakeGuest;
const asked = new Map<number, Buffer>();
const live = new AbortController();

beforeEach(async () => {
  const [host, other] = duplexPair();
  guest = new FakeGuest(other);
  asked.clear();
  [agent] = await Promise.all([connectAgent(host), guest.greet()]);
});
afterEach(() => agent.close());

const PARTS = [
  ['random numbers', ADD_ENTROPY.type],
  ['clock', SET_CLOCK.type],
  ['host name', SET_HOSTNAME.type],
  ['machine id', SET_MACHINE_ID.type],
] as const;

type Deed = 'ok' | 'error' | 'silence' | 'hang up';

/** Answers what the host asks: `deed` to requests of one type, as an agent would to all others. */
async function play(oddType: number, deed: Deed): Promise<void> {
  while (!guest.channel.destroyed) {
    const { streamId, type, payload } = await guest.next();
    asked.set(type, Buffer.from(payload));
    const how = type === oddType ? deed : 'ok';
    if (how === 'silence') continue;
    if (how === 'hang up') {
      guest.channel.destroy();
      return;
    }
    if (how === 'error') guest.send(streamId, ERROR, { code: 'SYSTEM_FAILED', errno: 30, text: 'no' });
    else guest.frame(streamId, OK.type, answerTo(type));
  }
}

function answerTo(type: number): Uint8Array {
  if (type === SET_CLOCK.type) return encodePayload(CLOCK_STEP, { beforeNs: 1n, afterNs: 2n });
  if (type === EXEC_LIST.type) return encodePayload(EXEC_RECORDS, []);
  return new Uint8Array();
}

describe('the identity of a resumed VM', () => {
  it('is given in all its parts, with 64 bytes of random numbers of its own', async () => {
    void play(-1, 'ok');
    await giveIdentity(agent, 'box', live);
    expect([...asked.keys()].sort()).toEqual(PARTS.map(([, type]) => type).sort());
    const [entropy, id] = [asked.get(ADD_ENTROPY.type), asked.get(SET_MACHINE_ID.type)];
    await giveIdentity(agent, 'box', live);
    expect(asked.get(ADD_ENTROPY.type)).not.toEqual(entropy);
    expect(asked.get(SET_MACHINE_ID.type)).not.toEqual(id);
    // Credited in bits, then the length in bytes.
    expect([entropy?.readUInt32BE(0), entropy?.readUInt32BE(4)]).toEqual([512, 64]);
  });

  it('stays what it was for the machine that goes back, but for the rest', async () => {
    void play(-1, 'ok');
    await giveIdentity(agent, 'box', { keepMachineId: true });
    expect(asked.has(SET_MACHINE_ID.type)).toBe(false);
    expect(asked.has(ADD_ENTROPY.type)).toBe(true);
  });

  it.each(PARTS)('is refused when the guest refuses its %s', async (part, type) => {
    void play(type, 'error');
    await expect(giveIdentity(agent, 'box', live)).rejects.toMatchObject({
      code: 'VM_IDENTITY_UNCONFIRMED',
      details: { part, reason: 'AGENT_REQUEST_FAILED' },
    });
  });

  it.each(PARTS)('is refused when the guest says nothing to its %s', async (_part, type) => {
    void play(type, 'silence');
    const gone = new AbortController();
    const given = giveIdentity(agent, 'box', { signal: gone.signal });
    const reason = new Error('waited enough');
    await expect.poll(() => asked.has(type), { timeout: 30_000 }).toBe(true);
    gone.abort(reason);
    await expect(given).rejects.toBe(reason);
  });

  it('is refused when the guest hangs up instead', async () => {
    void play(SET_CLOCK.type, 'hang up');
    await expect(giveIdentity(agent, 'box', live)).rejects.toMatchObject({ code: 'AGENT_DISCONNECTED' });
  });
});

describe('the commands of a saved VM', () => {
  it('are ended', async () => {
    void play(-1, 'ok');
    await endCommands(agent, live);
    expect(asked.get(PROCESSES.type)).toEqual(Buffer.of(2));
  });

  it('that the guest does not end let it not be used', async () => {
    void play(PROCESSES.type, 'error');
    await expect(endCommands(agent, live)).rejects.toMatchObject({
      code: 'VM_IDENTITY_UNCONFIRMED',
      details: { part: 'end of its commands' },
    });
  });
});
