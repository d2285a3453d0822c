import { describe, expect, it } from 'vitest';
import { listenUrl, parseListenAddress } from './listen-address.js';

describe('parseListenAddress', () => {
  it.each([
    ['127.0.0.1:7420', '127.0.0.1', 7420],
    ['127.9.9.9:1', '127.9.9.9', 1],
    ['7420', '127.0.0.1', 7420],
    ['localhost:0', '127.0.0.1', 0],
    ['[::1]:65535', '::1', 65_535],
  ])('%s', (text, host, port) => {
    expect(parseListenAddress(text, { allowRemote: false })).toEqual({ host, port });
  });

  it.each([
    '',
    ':',
    '127.0.0.1',
    '127.0.0.1:',
    ':7420',
    '127.0.0.1:65536',
    '::1:80',
    '[127.0.0.1]:80',
    'example.org:80',
    '127.0.0.1:-1',
    '127.0.0.1:7420/x',
  ])('refuses %j', (text) => {
    expect(() => parseListenAddress(text, { allowRemote: true })).toThrow(
      expect.objectContaining({ code: 'USAGE_INVALID' }),
    );
  });

  it.each(['0.0.0.0:1', '[::]:1', '192.0.2.1:1', '[::ffff:127.0.0.1]:1', '128.0.0.1:1'])(
    'takes %s only when other machines may reach it',
    (text) => {
      expect(() => parseListenAddress(text, { allowRemote: false })).toThrow(
        expect.objectContaining({ code: 'USAGE_INVALID', details: { host: expect.any(String) } }),
      );
      expect(parseListenAddress(text, { allowRemote: true }).port).toBe(1);
    },
  );
});

it('writes an address as a URL', () => {
  expect(listenUrl({ host: '127.0.0.1', port: 1 })).toBe('http://127.0.0.1:1');
  expect(listenUrl({ host: '::1', port: 1 })).toBe('http://[::1]:1');
});
