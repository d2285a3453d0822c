import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HearthError } from '../errors/index.js';
import { parseHost } from './host.js';
import { matchesHost, parseHostPattern } from './host-pattern.js';

describe('parseHostPattern', () => {
  it.each([
    ['example.org', 'example.org', false, [80, 443], []],
    ['Example.ORG.', 'example.org', false, [80, 443], []],
    ['example.org:8443', 'example.org', false, [8443], []],
    ['*.example.org', 'example.org', true, [80, 443], []],
    ['*.example.org:22', 'example.org', true, [22], []],
    ['müller.example', 'xn--mller-kva.example', false, [80, 443], []],
    ['10.0.0.5', '10.0.0.5', false, [80, 443], ['10.0.0.5']],
    ['127.0.0.1:5000', '127.0.0.1', false, [5000], ['127.0.0.1']],
    ['::1', '::1', false, [80, 443], ['::1']],
    ['[::1]', '::1', false, [80, 443], ['::1']],
    ['[fd00::5]:8080', 'fd00::5', false, [8080], ['fd00::5']],
    ['db.corp=10.0.0.5', 'db.corp', false, [80, 443], ['10.0.0.5']],
    ['db.corp:5432=[fd00::5]', 'db.corp', false, [5432], ['fd00::5']],
    ['db.corp:5432=fd00::5', 'db.corp', false, [5432], ['fd00::5']],
    ['host.hearth.internal:8080', 'host.hearth.internal', false, [8080], ['127.0.0.1', '::1']],
  ] as const)('%s', (text, host, wildcard, ports, addresses) => {
    const pattern = parseHostPattern(text);
    expect({ ...pattern, addresses: pattern.addresses.map((address) => address.text) }).toEqual({
      text,
      host,
      wildcard,
      ports,
      addresses,
    });
  });

  it.each([
    '',
    '*',
    '*.',
    '*.*.org',
    'a.*.org',
    '*org',
    '.example.org',
    'https://example.org',
    'example.org/path',
    '10.0.0.0/8',
    'example.org:',
    'example.org:0',
    'example.org:65536',
    'example.org:80-90',
    'example.org:*',
    'a b',
    '*.10.0.0.1',
    '0x7f.1',
    '127.1',
    'a=b',
    'a=',
    'a=127.1',
    '=10.0.0.1',
    '*.a=10.0.0.1',
    '10.0.0.1=10.0.0.2',
    'host.hearth.internal',
    'host.hearth.internal:80=10.0.0.1',
    '169.254.169.254',
    '169.254.0.1:80',
    'metadata.test=169.254.169.254',
    '[fe80::1]',
    '0.0.0.0:80',
    '[::]:80',
    '[::ffff:127.0.0.1]:80',
    'a=::ffff:10.0.0.1',
    '224.0.0.1',
    '255.255.255.255',
    'a\0b',
    'a'.repeat(513),
  ])('refuses %j', (text) => {
    expect(() => parseHostPattern(text)).toThrow(expect.objectContaining({ code: 'HOST_PATTERN_INVALID' }));
  });

  it('throws nothing but its own error', () => {
    const texts = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[*.a=:[\]\d]{0,20}$/));
    fc.assert(
      fc.property(texts, (text) => {
        try {
          parseHostPattern(text);
        } catch (error) {
          expect(HearthError.is(error)).toBe(true);
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe('matchesHost', () => {
  it.each([
    ['example.org', 'example.org', true],
    ['example.org', 'EXAMPLE.ORG.', true],
    ['example.org', 'www.example.org', false],
    ['example.org', 'notexample.org', false],
    ['*.example.org', 'www.example.org', true],
    ['*.example.org', 'a.b.example.org', true],
    ['*.example.org', 'example.org', false],
    ['*.example.org', 'notexample.org', false],
    ['*.example.org', 'example.org.evil.test', false],
    ['*.org', '1.2.3.4', false],
    ['*.internal', 'host.hearth.internal', false],
    ['*.hearth.internal', 'host.hearth.internal', false],
    ['*.hearth.internal', 'other.hearth.internal', true],
    ['host.hearth.internal:1', 'host.hearth.internal', true],
    ['[::1]', '[0:0:0:0:0:0:0:1]', true],
    ['10.0.0.5', '10.0.0.50', false],
    ['db.corp=10.0.0.5', '10.0.0.5', false],
  ])('%s and %s: %s', (pattern, host, expected) => {
    expect(matchesHost(parseHostPattern(pattern), parseHost(host)!)).toBe(expected);
  });
});
