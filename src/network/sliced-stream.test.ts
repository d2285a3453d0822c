import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { duplexPair, listenTcp, readAll } from '../../test/network/support.js';
import { sliceReads } from './sliced-stream.js';

function setUp(sliceBytes = 10) {
  const [far, original] = duplexPair();
  far.on('error', () => {});
  const { stream, stopSlicing } = sliceReads(original, sliceBytes);
  return { far, original, stream, stopSlicing };
}

describe('sliceReads', () => {
  it('hands out no more than a slice at once, and all of it in order', async () => {
    const { far, stream } = setUp(10);
    const sizes: number[] = [];
    stream.on('data', (chunk: Buffer) => sizes.push(chunk.byteLength));
    far.end(Buffer.alloc(1005, 'abcdefg'));
    expect(await readAll(stream)).toBe(Buffer.alloc(1005, 'abcdefg').toString());
    expect(Math.max(...sizes)).toBe(10);
  });

  it('stops in the middle of a chunk when the reader does', async () => {
    const { far, stream } = setUp(10);
    let seenBytes = 0;
    stream.on('data', (chunk: Buffer) => {
      seenBytes += chunk.byteLength;
      if (seenBytes >= 20) stream.destroy();
    });
    far.write(Buffer.alloc(1000));
    await sleep(20);
    // One slice may have been read ahead.
    expect(seenBytes).toBeLessThanOrEqual(30);
  });

  it('hands out what comes once slicing has stopped', async () => {
    const { far, stream, stopSlicing } = setUp(10);
    stopSlicing();
    const sizes: number[] = [];
    stream.on('data', (chunk: Buffer) => sizes.push(chunk.byteLength));
    far.end(Buffer.alloc(1000));
    await readAll(stream);
    expect(Math.max(...sizes)).toBeGreaterThan(900);
  });

  it('carries both directions and both ends without loss', async () => {
    const { far, stream } = setUp(1024);
    const bytes = randomBytes(700_001);
    stream.pipe(stream);
    far.end(bytes);
    const echoed = Buffer.from(await readAll(far), 'latin1');
    const hash = (data: Buffer) => createHash('sha256').update(data).digest('hex');
    expect(hash(echoed)).toBe(hash(bytes));
  });

  it('holds back a writer whose reader does not read', async () => {
    const { stream } = setUp();
    const chunk = Buffer.alloc(8192);
    let takenBytes = 0;
    for (let turn = 0; turn < 200; turn += 1) {
      if (stream.write(chunk)) takenBytes += chunk.byteLength;
      else await sleep(0);
      if (stream.writableNeedDrain) break;
    }
    await sleep(20);
    expect(stream.writableNeedDrain).toBe(true);
    expect(takenBytes).toBeLessThan(100_000);
  });

  it('passes on errors and destruction, in both directions', async () => {
    const one = setUp();
    const errors: Error[] = [];
    one.stream.on('error', (error) => errors.push(error));
    one.original.destroy(new Error('channel lost'));
    await sleep(10);
    expect([one.stream.destroyed, errors.map(({ message }) => message)]).toEqual([true, ['channel lost']]);

    const two = setUp();
    two.original.destroy();
    await sleep(10);
    expect(two.stream.destroyed).toBe(true);

    const three = setUp();
    three.stream.destroy();
    expect(three.original.destroyed).toBe(true);
  });

  it('resets a TCP connection when asked to, and only then', async () => {
    for (const reset of [false, true]) {
      const server = await listenTcp((socket) => {
        const { stream } = sliceReads(socket, 10);
        stream.once('data', () => {
          if (reset && 'resetAndDestroy' in stream) (stream.resetAndDestroy as () => void)();
          else stream.destroy();
        });
      });
      const socket = connect(server.port, '127.0.0.1');
      const errors: unknown[] = [];
      socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code));
      socket.resume();
      socket.write('x');
      await new Promise((resolve) => socket.once('close', resolve));
      expect(errors).toEqual(reset ? ['ECONNRESET'] : []);
      await server.close();
    }
  });
});
