import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { DetachKeys, parseDetachKeys } from './detach-keys.js';

describe('parseDetachKeys', () => {
  it.each([
    ['', []],
    ['ctrl-p,ctrl-q', [16, 17]],
    ['ctrl-],x', [29, 120]],
    ['ctrl-@', [0]],
  ])('%j', (text, bytes) => {
    expect([...parseDetachKeys(text)]).toEqual(bytes);
  });
  it.each([',', 'ctrl-', 'ctrl-1', 'ab', ' ', 'é'])('refuses %j', (text) => {
    expect(() => parseDetachKeys(text)).toThrow(expect.objectContaining({ code: 'USAGE_INVALID' }));
  });
});

describe('DetachKeys', () => {
  const type = async (keys: string, ...pieces: string[]): Promise<[string, number]> => {
    let detached = 0;
    const stream = new DetachKeys(parseDetachKeys(keys), () => {
      detached += 1;
    });
    for (const piece of pieces) stream.write(piece);
    stream.end();
    return [(await buffer(stream)).toString(), detached];
  };
  it.each([
    ['passes on all without keys', '', ['a\u0010\u0011b'], 'a\u0010\u0011b', 0],
    ['detaches and passes on nothing after', 'ctrl-p,ctrl-q', ['ab\u0010\u0011c', 'd'], 'ab', 1],
    ['sees keys that come apart', 'ctrl-p,ctrl-q', ['a\u0010', '\u0011b'], 'a', 1],
    [
      'passes on what only looked like keys',
      'ctrl-p,ctrl-q',
      ['\u0010a\u0010\u0010b'],
      '\u0010a\u0010\u0010b',
      0,
    ],
    ['sees keys after half of them', 'ctrl-p,ctrl-q', ['\u0010\u0010\u0011'], '\u0010', 1],
  ])('%s', async (_what, keys, pieces, passed, detached) => {
    expect(await type(keys, ...pieces)).toEqual([passed, detached]);
  });
});
