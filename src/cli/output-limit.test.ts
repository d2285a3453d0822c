import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { describe, expect, it } from 'vitest';
import { OutputLimit } from './output-limit.js';

async function through(limitBytes: number, pieces: readonly string[]): Promise<[string, number]> {
  let text = '';
  const target = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      setImmediate(done);
    },
  });
  const limit = new OutputLimit(target, limitBytes);
  for (const piece of pieces) limit.write(piece);
  limit.end();
  await finished(limit);
  return [text, limit.droppedBytes];
}

describe('OutputLimit', () => {
  it.each([
    [0, ['ab', 'c'], '', 3],
    [1, ['ab', 'c'], 'a', 2],
    [2, ['ab', 'c'], 'ab', 1],
    [3, ['ab', 'c'], 'abc', 0],
    [4, ['ab', 'c'], 'abc', 0],
    [4, [], '', 0],
  ])('of %d bytes', async (limitBytes, pieces, text, dropped) => {
    expect(await through(limitBytes, pieces)).toEqual([text, dropped]);
  });

  it('tells when its target is gone', async () => {
    const target = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error('gone'), { code: 'EPIPE' }));
      },
    });
    target.on('error', () => {});
    const limit = new OutputLimit(target, 10);
    limit.end('x');
    await expect(finished(limit)).rejects.toMatchObject({ code: 'EPIPE' });
  });
});
