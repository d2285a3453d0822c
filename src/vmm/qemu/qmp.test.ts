import { type Duplex, duplexPair } from 'node:stream';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { QmpClient } from './qmp.js';

const GREETING = {
  QMP: { version: { qemu: { micro: 18, minor: 2, major: 7 }, package: '' }, capabilities: [] },
};

/** The other end: answers every command by `reply`, nothing when that gives undefined. */
class Peer {
  readonly stream: Duplex;
  readonly commands: { execute: string; arguments: unknown; id: number }[] = [];
  reply: (command: string) => object | undefined = () => ({ return: {} });

  constructor(stream: Duplex) {
    this.stream = stream;
    let rest = '';
    stream.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const command = JSON.parse(line);
        this.commands.push(command);
        const answer = this.reply(command.execute);
        if (answer !== undefined) this.send({ ...answer, id: command.id });
      }
    });
    stream.on('error', () => undefined);
  }

  send(message: object): void {
    this.stream.write(`${JSON.stringify(message)}\r\n`);
  }
}

describe('QmpClient', () => {
  let ours: Duplex;
  let peer: Peer;
  beforeEach(() => {
    const [a, b] = duplexPair();
    ours = a;
    peer = new Peer(b);
  });
  const open = async (): Promise<QmpClient> => {
    peer.send(GREETING);
    return (await QmpClient.open(ours)).client;
  };

  it('gives the version and leaves negotiation mode', async () => {
    peer.send(GREETING);
    expect((await QmpClient.open(ours)).version).toBe('7.2.18');
    expect(peer.commands).toEqual([{ execute: 'qmp_capabilities', arguments: {}, id: 1 }]);
  });

  it.each([
    ['no version', {}],
    ['a version of texts', { version: 'new' }],
  ])('takes a greeting with %s for version 0', async (_name, QMP) => {
    peer.send({ QMP });
    expect((await QmpClient.open(ours)).version).toBe('0.0.0');
  });

  it('gives up when no greeting comes, and when it is cancelled', async () => {
    await expect(QmpClient.open(ours, { timeoutMs: 20 })).rejects.toMatchObject({
      code: 'VMM_TIMEOUT',
      details: { timeoutMs: 20 },
    });
    expect(ours.destroyed).toBe(true);
    const [other] = duplexPair();
    const reason = new Error('enough');
    await expect(QmpClient.open(other, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it('matches answers to calls in any order', async () => {
    const client = await open();
    peer.reply = () => undefined;
    const calls = Promise.all([client.execute('a'), client.execute('b', { x: 1 })]);
    await expect.poll(() => peer.commands.length).toBe(3);
    peer.send({ return: 'second', id: 3 });
    peer.send({ return: 'nobody asked', id: 99 });
    peer.send({ return: 'first', id: 2 });
    expect(await calls).toEqual(['first', 'second']);
    expect(peer.commands.at(-1)).toEqual({ execute: 'b', arguments: { x: 1 }, id: 3 });
  });

  it('passes on a refusal in QEMU’s words', async () => {
    const client = await open();
    peer.reply = () => ({ error: { class: 'GenericError', desc: 'no such device' } });
    await expect(client.execute('eject')).rejects.toMatchObject({
      code: 'VMM_REQUEST_FAILED',
      details: { command: 'eject', class: 'GenericError', description: 'no such device' },
    });
  });

  it('limits and cancels a call and goes on', async () => {
    const client = await open();
    peer.reply = (command) => (command === 'slow' ? undefined : { return: 1 });
    await expect(client.execute('slow', {}, { timeoutMs: 10 })).rejects.toMatchObject({
      code: 'VMM_TIMEOUT',
    });
    const controller = new AbortController();
    const cancelled = client.execute('slow', {}, { signal: controller.signal });
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(cancelled).rejects.toBe(reason);
    expect(await client.execute('quick')).toBe(1);
  });

  it('fails calls and waits under way when the peer goes away, and later ones', async () => {
    const client = await open();
    peer.reply = () => undefined;
    const call = client.execute('a');
    const wait = client.waitEvent('the end', () => true);
    peer.stream.end();
    const gone = expect.objectContaining({ code: 'VMM_REQUEST_FAILED' });
    expect(await Promise.allSettled([call, wait])).toEqual([
      { status: 'rejected', reason: gone },
      { status: 'rejected', reason: gone },
    ]);
    await expect(client.execute('b')).rejects.toEqual(gone);
    await expect(client.waitEvent('more', () => true)).rejects.toEqual(gone);
  });

  it('waits for the event that is meant', async () => {
    const client = await open();
    const seen: string[] = [];
    const stop = client.onEvent(({ name }) => seen.push(name));
    const wait = client.waitEvent('B', ({ name }) => name === 'B');
    peer.send({ event: 'A', data: {} });
    peer.send({ event: 'B', data: { status: 'completed' } });
    expect(await wait).toEqual({ name: 'B', data: { status: 'completed' } });
    stop();
    peer.send({ event: 'C' });
    await client.execute('sync');
    expect(seen).toEqual(['A', 'B']);
  });

  it.each([
    ['text that is not JSON', 'hello\n'],
    ['a list', '[]\n'],
    ['a line without end', `"${'x'.repeat(1024 * 1024)}`],
  ])('ends the session at %s', async (_name, sent) => {
    const client = await open();
    peer.reply = () => undefined;
    const call = client.execute('a');
    peer.stream.write(sent);
    await expect(call).rejects.toMatchObject({ code: 'VMM_RESPONSE_INVALID' });
    expect(ours.destroyed).toBe(true);
  });

  it('reads messages however they are cut', async () => {
    const stream = Buffer.from(`${JSON.stringify(GREETING)}\n{"return":{},"id":1}\n{"return":"ü","id":2}\n`);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(stream.byteLength), { maxLength: 12 }), async (cuts) => {
        const [a, b] = duplexPair();
        const opening = QmpClient.open(a).then(({ client }) => client.execute('x'));
        let from = 0;
        for (const cut of [...cuts, stream.byteLength].sort((x, y) => x - y)) {
          // The answer to a call may not come before the call.
          b.write(stream.subarray(from, cut));
          from = cut;
          await new Promise(setImmediate);
          await new Promise(setImmediate);
        }
        a.destroy();
        const outcome = await opening.catch((error: unknown) => error);
        expect(outcome === 'ü' || outcome instanceof Error).toBe(true);
      }),
      { numRuns: 50 },
    );
  });
});
