import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HearthError } from '../errors/index.js';
import { formatReference, parseReference, type Reference } from './reference.js';

const HEX = 'a'.repeat(64);
const DIGEST = `sha256:${HEX}`;

describe('parseReference', () => {
  const canonical: ReadonlyArray<[text: string, expected: string]> = [
    ['debian', 'docker.io/library/debian:latest'],
    ['debian:12', 'docker.io/library/debian:12'],
    ['library/debian:12', 'docker.io/library/debian:12'],
    ['docker.io/debian:12', 'docker.io/library/debian:12'],
    ['docker.io/library/debian:12', 'docker.io/library/debian:12'],
    ['index.docker.io/debian:12', 'docker.io/library/debian:12'],
    ['DOCKER.IO/debian:12', 'docker.io/library/debian:12'],
    ['owner/name', 'docker.io/owner/name:latest'],
    ['a/b/c:1', 'docker.io/a/b/c:1'],
    ['localhost/x', 'localhost/x:latest'],
    ['localhost:5000/x:1', 'localhost:5000/x:1'],
    ['127.0.0.1:5000/x', '127.0.0.1:5000/x:latest'],
    ['0x7f.1:5000/x', '127.0.0.1:5000/x:latest'],
    ['[::1]:5000/x', '[::1]:5000/x:latest'],
    ['[0:0:0:0:0:0:0:1]/x:1', '[::1]/x:1'],
    ['host:05000/x', 'host:5000/x:latest'],
    ['GHCR.io/owner', 'ghcr.io/owner:latest'],
    ['LOCALHOST/x', 'localhost/x:latest'],
    ['x.io', 'docker.io/library/x.io:latest'],
    ['quay.io/a_b/c__d/e-f/g--h:V1.2_3-4', 'quay.io/a_b/c__d/e-f/g--h:V1.2_3-4'],
    [`debian@${DIGEST}`, `docker.io/library/debian@${DIGEST}`],
    [`debian:12@${DIGEST}`, `docker.io/library/debian:12@${DIGEST}`],
    [`x.io/y@sha512:${'b'.repeat(128)}`, `x.io/y@sha512:${'b'.repeat(128)}`],
    [`x:${'t'.repeat(128)}`, `docker.io/library/x:${'t'.repeat(128)}`],
    [`x.io/${'r'.repeat(255)}`, `x.io/${'r'.repeat(255)}:latest`],
    [`x.io/${HEX}`, `x.io/${HEX}:latest`],
  ];
  it.each(canonical)('%s is %s', (text, expected) => {
    expect(formatReference(parseReference(text))).toBe(expected);
  });

  it('gives a tag only when there is one or no digest', () => {
    expect(parseReference('debian')).toEqual({
      registry: 'docker.io',
      repository: 'library/debian',
      tag: 'latest',
    });
    expect(parseReference(`debian@${DIGEST}`)).toEqual({
      registry: 'docker.io',
      repository: 'library/debian',
      digest: DIGEST,
    });
  });

  const malformed: readonly string[] = [
    '',
    ' ',
    'debian ',
    'deb ian',
    'debian\n',
    'débian',
    ':12',
    'debian:',
    'debian:-1',
    'debian:.1',
    `debian:${'t'.repeat(129)}`,
    '/debian',
    'debian/',
    'a//b',
    'Debian',
    'a/B',
    '-a',
    'a-',
    'a..b',
    'a___b',
    'a._b',
    '_a',
    'http://x.io/y',
    'docker://debian',
    '@',
    'debian@',
    'debian@sha256',
    `debian@sha256:${'a'.repeat(63)}`,
    `debian@sha256:${'A'.repeat(64)}`,
    `debian@md5:${'a'.repeat(32)}`,
    `debian@${DIGEST}@${DIGEST}`,
    HEX,
    'Registry/x',
    'x.io/',
    'x.io:0/y',
    'x.io:65536/y',
    'x.io:123456/y',
    'x.io:/y',
    'x.io:a/y',
    '-x.io/y',
    'x_y.io/z',
    '256.1.1.1/y',
    '[::1/y',
    '[::g]/y',
    '[]/y',
    'user@x.io/y',
    'user:secret@x.io/y',
    '../etc',
    'a/../b',
    `x.io/${'r'.repeat(256)}`,
    `${'h'.repeat(64)}.io/y`,
    'a'.repeat(1025),
  ];
  it.each(malformed)('refuses %j', (text) => {
    expect(() => parseReference(text)).toThrow(expect.objectContaining({ code: 'REFERENCE_INVALID' }));
  });

  it('is one with its canonical text', () => {
    const part = fc.stringMatching(/^[a-z0-9]{1,8}([._-][a-z0-9]{1,4}){0,2}$/);
    const registry = fc.constantFrom(
      'docker.io',
      'ghcr.io',
      'localhost:5000',
      '[::1]:443',
      '10.0.0.1',
      'a.b:80',
    );
    const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/);
    fc.assert(
      fc.property(registry, fc.array(part, { minLength: 2, maxLength: 4 }), tag, (host, parts, label) => {
        const text = `${host}/${parts.join('/')}:${label}`;
        const parsed = parseReference(text);
        expect(formatReference(parsed)).toBe(text);
        expect(parseReference(formatReference(parsed))).toEqual(parsed);
      }),
    );
  });

  it('never throws anything else, and what it accepts is stable', () => {
    const text = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.string({ unit: fc.constantFrom(...'aZ09.:/@-_[]%\\# '), maxLength: 40 }),
    );
    fc.assert(
      fc.property(text, (input) => {
        let parsed: Reference;
        try {
          parsed = parseReference(input);
        } catch (error) {
          expect(HearthError.is(error) && error.code).toBe('REFERENCE_INVALID');
          return;
        }
        expect(parseReference(formatReference(parsed))).toEqual(parsed);
        expect(parsed.repository).not.toContain('..');
      }),
      { numRuns: 2000 },
    );
  });
});
