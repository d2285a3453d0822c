import { describe, expect, it } from 'vitest';
import { formatDuration, MAX_DURATION_MS, parseDuration } from './duration.js';
import { formatSize, parseSize } from './size.js';

describe('parseSize', () => {
  it.each([
    ['0', 0],
    ['1', 1],
    ['512M', 512 * 2 ** 20],
    ['512m', 512 * 2 ** 20],
    ['1.5G', 1.5 * 2 ** 30],
    ['4 GiB', 4 * 2 ** 30],
    ['2GB', 2 * 2 ** 30],
    ['7B', 7],
    ['1T', 2 ** 40],
    ['9007199254740991', 2 ** 53 - 1],
  ])('%s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each([
    '',
    ' ',
    '-1',
    '+1',
    '1e3',
    '0x10',
    'G',
    '1.5',
    '9007199254740992',
    '99999999T',
    '1 0',
    '1Q',
    '1GG',
    'NaN',
  ])('refuses %j', (text) => {
    expect(() => parseSize(text)).toThrow(expect.objectContaining({ code: 'SIZE_INVALID' }));
  });
});

describe('formatSize', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '0.98 KiB'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [64_172_851, '61.2 MiB'],
    [2 ** 30, '1 GiB'],
    [100 * 2 ** 20, '100 MiB'],
    [5 * 2 ** 50, '5120 TiB'],
  ])('%d', (bytes, text) => {
    expect(formatSize(bytes)).toBe(text);
  });
});

describe('parseDuration', () => {
  it.each([
    ['0', 0],
    ['1', 1000],
    ['0.5', 500],
    ['250ms', 250],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['1d', 86_400_000],
    ['2147483647ms', MAX_DURATION_MS],
  ])('%s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', '-1s', '5 minutes', 's', '1h 30m', '2147483648ms', '25d', '1e9', 'Infinity'])(
    'refuses %j',
    (text) => {
      expect(() => parseDuration(text)).toThrow(expect.objectContaining({ code: 'DURATION_INVALID' }));
    },
  );
});

describe('formatDuration', () => {
  it.each([
    [0, '0 ms'],
    [999, '999 ms'],
    [3099, '3.1 s'],
    [125_000, '2 m 05 s'],
  ])('%d', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});
