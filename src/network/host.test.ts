import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatAuthority, parseAuthority, parseHost, parsePort } from './host.js';

const label63 = 'a'.repeat(63);

describe('parseHost', () => {
  it.each([
    ['example.org', 'example.org'],
    ['EXAMPLE.Org.', 'example.org'],
    ['a', 'a'],
    ['_dmarc.example.org', '_dmarc.example.org'],
    ['xn--mller-kva.example', 'xn--mller-kva.example'],
    [label63, label63],
    [`${label63}.${label63}.${label63}.${'a'.repeat(61)}`, undefined],
    ['1a', '1a'],
    ['1.2.3.x', '1.2.3.x'],
  ])('%s is a name', (text, expected) => {
    const name = expected ?? text;
    expect(parseHost(text)).toEqual({ kind: 'name', text: name });
  });

  it.each([
    ['1.2.3.4', '1.2.3.4'],
    ['[::1]', '::1'],
    ['::1', '::1'],
    ['[2001:DB8::0:1]', '2001:db8::1'],
  ])('%s is an address', (text, expected) => {
    expect(parseHost(text)).toMatchObject({ kind: 'address', text: expected });
  });

  it.each([
    '',
    '.',
    '..',
    'a..b',
    '.a',
    'a.b..',
    '-a',
    'a-',
    'a b',
    'a%20b',
    'a\0',
    'a\n',
    'a@b',
    'a/b',
    'a\\b',
    'müller.example',
    `${label63}a`,
    `${label63}.${label63}.${label63}.${'a'.repeat(62)}`,
    // Every loose spelling of 127.0.0.1 that some resolver takes.
    '2130706433',
    '0x7f000001',
    '0x7f.1',
    '0177.0.0.1',
    '127.1',
    '127.0.1',
    '127.0.0.1.',
    '127.0.0.01',
    '0x7f.0x0.0x0.0x1',
    '017700000001',
    '127.0.0.0x1',
    'example.0x',
    'example.1',
    '１２７.0.0.1',
    '127。0。0。1',
    '[127.0.0.1]',
    '[::ffff:127.0.0.1',
    '[fe80::1%25eth0]',
    '[::1%lo]',
    '[::1]x',
    '[]',
  ])('refuses %j', (text) => {
    expect(parseHost(text)).toBeUndefined();
  });

  it('gives every host one spelling, which is safe in a header, a log and a terminal', () => {
    const someText = fc.oneof(fc.string({ unit: 'binary' }), fc.domain(), fc.ipV4Extended(), fc.ipV6());
    fc.assert(
      fc.property(someText, (text) => {
        const host = parseHost(text);
        if (host === undefined) return;
        expect(host.text).toMatch(/^[a-z0-9._:-]+$/);
        expect(parseHost(host.text)).toEqual(host);
      }),
      { numRuns: 3000 },
    );
  });

  it('takes for a name nothing that a browser takes for an address', () => {
    const part = fc.oneof(
      fc.nat(300).map(String),
      fc.nat(300).map((n) => `0x${n.toString(16)}`),
      fc.nat(300).map((n) => `0${n.toString(8)}`),
    );
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), (parts) => {
        expect(parseHost(parts.join('.'))?.kind).not.toBe('name');
      }),
    );
  });
});

describe('parseAuthority', () => {
  it.each([
    ['a:1', 'a', 1],
    ['a:65535', 'a', 65_535],
    ['a', 'a', undefined],
    ['[::1]:443', '::1', 443],
    ['[::1]', '::1', undefined],
    ['1.2.3.4:80', '1.2.3.4', 80],
  ])('%s', (text, host, port) => {
    const parsed = parseAuthority(text);
    expect([parsed?.host.text, parsed?.port]).toEqual([host, port]);
  });

  it.each([
    '',
    ':80',
    'a:',
    'a:0',
    'a:65536',
    'a:080',
    'a:+80',
    'a: 80',
    'a:8 0',
    'a:80:80',
    '::1',
    '::1:443',
    '[::1]443',
    'user@a:80',
    'user:pass@a:80',
    'a:80/',
    'a:80\n',
    'http://a:80',
  ])('refuses %j', (text) => {
    expect(parseAuthority(text)).toBeUndefined();
  });

  it('reads back what formatAuthority writes', () => {
    const hosts = fc.oneof(
      fc.domain().map((name) => name.toLowerCase()),
      fc.ipV4(),
      fc.ipV6(),
    );
    fc.assert(
      fc.property(hosts, fc.integer({ min: 1, max: 65_535 }), (text, port) => {
        const host = parseHost(text);
        fc.pre(host !== undefined);
        expect(parseAuthority(formatAuthority(host!.text, port))).toEqual({ host, port });
      }),
    );
  });
});

it.each([
  ['1', 1],
  ['65535', 65_535],
  ['0', undefined],
  ['65536', undefined],
  ['99999', undefined],
  ['', undefined],
  ['01', undefined],
  ['1e3', undefined],
  ['-1', undefined],
])('parsePort(%j)', (text, expected) => {
  expect(parsePort(text)).toBe(expected);
});
