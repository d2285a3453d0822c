import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cpuMsSince } from '../../test/support/timing.js';
import { parseChallenges } from './challenge.js';

/** As nested arrays, for comparison. */
function parse(...headers: string[]) {
  return parseChallenges(headers).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);
}

describe('parseChallenges', () => {
  const realm = 'https://auth.example.com/token';
  it.each<[name: string, headers: string[], expected: unknown]>([
    [
      'Docker Hub',
      [`Bearer realm="${realm}",service="registry.example.com",scope="repository:a/b:pull"`],
      [['bearer', { realm, service: 'registry.example.com', scope: 'repository:a/b:pull' }]],
    ],
    [
      'spaces everywhere',
      [`  Bearer   realm = "${realm}" ,  service="s"  `],
      [['bearer', { realm, service: 's' }]],
    ],
    [
      'tabs and empty elements',
      [`Bearer\trealm="${realm}",,\t, service="s",`],
      [['bearer', { realm, service: 's' }]],
    ],
    ['capitals', [`BEARER Realm="${realm}",SERVICE=s`], [['bearer', { realm, service: 's' }]]],
    [
      'bare values',
      ['Bearer realm=https://x.io/t,service=s'],
      [['bearer', { realm: 'https://x.io/t', service: 's' }]],
    ],
    ['escapes', ['Basic realm="a \\"quoted\\" \\\\ word"'], [['basic', { realm: 'a "quoted" \\ word' }]]],
    [
      'a comma in quotes',
      ['Bearer scope="repository:a:pull,push"'],
      [['bearer', { scope: 'repository:a:pull,push' }]],
    ],
    ['an empty value', ['Bearer realm=""'], [['bearer', { realm: '' }]]],
    ['a scheme alone', ['Negotiate'], [['negotiate', {}]]],
    ['a scheme with a blob', ['Negotiate dG9r/W4+=='], [['negotiate', {}]]],
    [
      'several in one header',
      ['Negotiate dG9rZW4=, Basic realm="r", Bearer realm="t"'],
      [
        ['negotiate', {}],
        ['basic', { realm: 'r' }],
        ['bearer', { realm: 't' }],
      ],
    ],
    [
      'several headers',
      ['Basic realm="r"', 'Bearer realm="t"'],
      [
        ['basic', { realm: 'r' }],
        ['bearer', { realm: 't' }],
      ],
    ],
    [
      'two schemes alone',
      ['Negotiate, NTLM'],
      [
        ['negotiate', {}],
        ['ntlm', {}],
      ],
    ],
    ['the first of equal names', ['Bearer realm="a",realm="b"'], [['bearer', { realm: 'a' }]]],
    ['__proto__', ['Bearer __proto__="x",realm="r"'], [['bearer', { ['__proto__']: 'x', realm: 'r' }]]],
    ['nothing', [''], []],
    ['rubbish', ['"'], []],
    ['an unfinished quote', ['Bearer realm="abc'], [['bearer', {}]]],
    ['no header at all', [], []],
    ['a header of more than 16 KiB', [`Bearer realm="${'a'.repeat(17_000)}"`], []],
  ])('reads %s', (_name, headers, expected) => {
    expect(parse(...headers)).toEqual(expected);
  });

  it('bounds what it reads', () => {
    expect(parse(Array.from({ length: 100 }, (_, i) => `s${i}`).join(', '))).toHaveLength(16);
    const many = Array.from({ length: 100 }, (_, i) => `p${i}=v`).join(',');
    expect(Object.keys(parse(`Bearer ${many}`)[0]?.[1] ?? {})).toHaveLength(32);
  });

  it('never throws and never takes long', () => {
    const soup = fc.string({ unit: fc.constantFrom(...'Ba =",\\/;\t-_é\0'), maxLength: 300 });
    fc.assert(
      fc.property(fc.array(fc.oneof(soup, fc.string()), { maxLength: 3 }), (headers) => {
        for (const { scheme } of parseChallenges(headers)) expect(scheme).not.toBe('');
      }),
      { numRuns: 5000 },
    );
    const started = process.cpuUsage();
    for (const unit of ['"', '\\', 'a', ' ', ',', 'a ', 'a=', '="\\', '/=']) {
      parseChallenges([`Bearer ${unit.repeat(Math.floor(16_000 / unit.length))}`]);
    }
    expect(cpuMsSince(started)).toBeLessThan(1000);
  });

  it('gets back what was written', () => {
    const name = fc.stringMatching(/^[a-z_]{1,10}$/);
    const value = fc.string({ unit: fc.constantFrom(...'ab:/,= "\\é'), maxLength: 30 });
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(name, value), { maxLength: 8, selector: ([key]) => key }),
        (pairs) => {
          const text = pairs.map(([key, text]) => `${key}="${text.replace(/[\\"]/g, '\\$&')}"`).join(', ');
          expect(parse(`Bearer ${text}`)).toEqual([['bearer', Object.fromEntries(pairs)]]);
        },
      ),
    );
  });
});
