import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MAX_WINDOW_BYTES, ZstdDecoder, ZstdProblem } from './index.js';

function decode(stream: Uint8Array, chunkBytes = stream.byteLength || 1): Buffer {
  const chunks: Buffer[] = [];
  const decoder = new ZstdDecoder((bytes) => chunks.push(Buffer.from(bytes)));
  for (let at = 0; at < stream.byteLength; at += chunkBytes)
    decoder.push(stream.subarray(at, at + chunkBytes));
  decoder.finish();
  return Buffer.concat(chunks);
}

function zstd(bytes: Uint8Array, ...options: string[]): Buffer {
  return execFileSync('zstd', ['-q', '-c', ...options], { input: bytes, maxBuffer: 1e9 });
}

/** Bytes of a grammar: words over few letters, with numbers between them. */
function prose(byteLength: number): Buffer {
  const words: string[] = [];
  let x = 1;
  for (let length = 0; length < byteLength; ) {
    x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0;
    const word = `${'etaoinshrdlu'.repeat(3).slice(x % 17, (x % 17) + ((x >>> 8) % 12))} ${(x >>> 16) % 97}\n`;
    words.push(word);
    length += word.length;
  }
  return Buffer.from(words.join('')).subarray(0, byteLength);
}

function noise(byteLength: number): Buffer {
  return Buffer.concat(
    Array.from({ length: Math.ceil(byteLength / 32) }, (_, i) =>
      createHash('sha256').update(String(i)).digest(),
    ),
  ).subarray(0, byteLength);
}

const frame = (hex: string): Buffer => Buffer.from(`28b52ffd${hex}`, 'hex');

describe('ZstdDecoder', () => {
  const corpora: ReadonlyArray<[name: string, bytes: Buffer]> = [
    ['nothing', Buffer.alloc(0)],
    ['one byte', Buffer.from('x')],
    ['zeros', Buffer.alloc(1_000_000)],
    ['prose', prose(600_000)],
    ['noise', noise(300_000)],
    [
      'noise and prose by turns',
      Buffer.concat(Array.from({ length: 9 }, (_, i) => (i % 2 ? noise(90_000) : prose(120_000)))),
    ],
    ['a program', readFileSync(process.execPath).subarray(0, 2_000_000)],
    ['far repetition', Buffer.concat([noise(1_000_000), prose(10), noise(1_000_000)])],
  ];
  it.each(corpora)('decodes %s at every kind of level', (_name, bytes) => {
    for (const options of [
      ['-1'],
      ['-3', '--no-check'],
      ['-9'],
      ['-19'],
      ['--fast=5'],
      ['--ultra', '-22', '--long=26'],
    ]) {
      expect(decode(zstd(bytes, ...options)).equals(bytes)).toBe(true);
    }
  });

  it('decodes the same however the stream is cut', () => {
    const bytes = Buffer.concat([prose(60_000), noise(5000)]);
    const stream = Buffer.concat([
      zstd(bytes),
      frame('502a4d1800').subarray(4),
      Buffer.alloc(3),
      zstd(bytes, '-19'),
    ]);
    for (const chunkBytes of [1, 2, 3, 17, 1000, 131_072]) {
      expect(decode(stream, chunkBytes).equals(Buffer.concat([bytes, bytes]))).toBe(true);
    }
  });

  it('decodes blocks written by hand', () => {
    // Single segment, content size 3: one raw block; then one of a repeated byte; then a skippable frame.
    expect(decode(frame('2003190000616263')).toString()).toBe('abc');
    expect(decode(frame('20051b0000' + '78' + '')).toString()).toBe('xxx');
    expect(decode(Buffer.from('5f2a4d18020000000102', 'hex'))).toHaveLength(0);
  });

  const malformed: ReadonlyArray<[what: string, stream: Buffer]> = [
    ['no magic', Buffer.from('00112233', 'hex')],
    ['half a magic', frame('').subarray(0, 3)],
    ['a frame without blocks', frame('2003')],
    ['a reserved header bit', frame('2803190000616263')],
    ['a dictionary', frame('210503190000616263')],
    ['a reserved block type', frame('20031f0000')],
    ['a block above 128 KiB', frame('200301ffff')],
    ['a cut raw block', frame('20031900006162')],
    ['an empty compressed block', frame('2003050000')],
    ['a compressed block of rubbish', frame('20032d0000ffffffffff')],
    ['literals that leave the block', frame('2003150000f800')],
    ['a repeated tree that was never there', frame('2003350000' + '030000' + '000000')],
    ['a window above 64 MiB', frame('0089010000')],
    ['a content size of 2^63 as a window', frame('e00000000000000080010000')],
  ];
  it.each(malformed)('refuses %s', (_what, stream) => {
    expect(() => decode(stream)).toThrow(ZstdProblem);
  });

  it('refuses every cut of a stream', () => {
    const stream = zstd(prose(3000));
    for (let length = 1; length < stream.byteLength; length += 1) {
      expect(() => decode(stream.subarray(0, length))).toThrow(ZstdProblem);
    }
  });

  it('keeps no more than a window', () => {
    const bytes = Buffer.alloc(MAX_WINDOW_BYTES / 4, 'abcdefg');
    expect(decode(zstd(bytes, '--long=26')).equals(bytes)).toBe(true);
    expect(() => decode(zstd(Buffer.alloc(200_000_000), '--long=27'))).toThrow(/window/);
  });
});
