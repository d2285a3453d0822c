import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  eitherOf,
  exactly,
  finite,
  listOf,
  mapOf,
  objectOf,
  oneOf,
  type Shape,
  text,
  truth,
  variantOf,
  whole,
} from './shape.js';

const person = exactly({
  name: text({ least: 1, most: 3, pattern: /^[a-z]*$/, problem: 'not a name' }),
  age: whole(0, 150).nullable().default(null),
  nick: text().optional(),
  tags: listOf(text(), { least: 1, most: 2 }).default(['none']),
});

describe('a shape', () => {
  const taken: [string, Shape<unknown>, unknown, unknown][] = [
    ['a text at its shortest', text({ least: 1 }), 'a', 'a'],
    ['a text at its longest', text({ most: 3 }), 'abc', 'abc'],
    ['the least number', whole(0, 9), 0, 0],
    ['the greatest number', whole(0, 9), 9, 9],
    ['the greatest exact number', whole(), Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    ['a fraction', finite(), 0.5, 0.5],
    ['false', truth(), false, false],
    ['null where it may be', text().nullable(), null, null],
    ['the second of two shapes', eitherOf(text(), whole()), 1, 1],
    ['one of the choices', oneOf('a', 1), 1, 1],
    ['gaps, which it fills', person, { name: 'ada' }, { name: 'ada', age: null, tags: ['none'] }],
    ['unknown fields, without them', objectOf({ a: whole() }), { a: 1, b: 2 }, { a: 1 }],
    [
      'a gap within a gap',
      objectOf({ a: objectOf({ b: whole().default(7) }).default({}) }),
      {},
      { a: { b: 7 } },
    ],
    [
      'a map with a name of Object',
      mapOf(whole()),
      JSON.parse('{"__proto__":1}'),
      JSON.parse('{"__proto__":1}'),
    ],
    [
      'the variant that it names',
      variantOf('kind', { a: exactly({ kind: oneOf('a', 'b'), x: whole() }) }),
      { kind: 'a', x: 1 },
      { kind: 'a', x: 1 },
    ],
  ];
  it.each(taken)('reads %s', (_name, shape, value, wanted) => {
    expect(shape.read(value)).toEqual({ ok: true, value: wanted });
  });

  const refused: [string, Shape<unknown>, unknown, string][] = [
    ['a text that is too short', text({ least: 1 }), '', ''],
    ['a text that is too long', text({ most: 3 }), 'abcd', ''],
    ['a text of another form', person, { name: 'A' }, 'name'],
    ['a number for a text', person, { name: 1 }, 'name'],
    ['a number below', whole(0, 9), -1, ''],
    ['a number above', whole(0, 9), 10, ''],
    ['a fraction for a whole number', whole(), 1.5, ''],
    ['a number past exactness', whole(), 2 ** 53, ''],
    ['infinity', finite(), Number.POSITIVE_INFINITY, ''],
    ['a text for a truth', truth(), 'true', ''],
    ['null where it may not be', text(), null, ''],
    ['another choice', oneOf('a', 'b'), 'c', ''],
    ['a missing field', person, {}, 'name'],
    ['a misspelt field', person, { name: 'ada', agee: 1 }, ''],
    ['too few entries', person, { name: 'ada', tags: [] }, 'tags'],
    ['too many entries', person, { name: 'ada', tags: ['a', 'b', 'c'] }, 'tags'],
    ['a wrong entry', person, { name: 'ada', tags: ['a', 2] }, 'tags.1'],
    ['an object for a list', listOf(text()), {}, ''],
    ['a list for an object', objectOf({}), [], ''],
    ['null for an object', objectOf({}), null, ''],
    ['a wrong value of a map', mapOf(whole()), { a: 'x' }, 'a'],
    ['what neither of two shapes takes', eitherOf(text(), whole()), null, ''],
    ['a variant that there is not', variantOf('kind', { a: objectOf({}) }), { kind: 'b' }, 'kind'],
    ['a variant named like a method', variantOf('kind', { a: objectOf({}) }), { kind: 'toString' }, 'kind'],
    ['a field that only Object has', objectOf({ toString: text() }), {}, 'toString'],
    ['what a condition refuses', whole().refine((value) => value % 2 === 0, 'odd'), 3, ''],
  ];
  it.each(refused)('refuses %s and says where', (_name, shape, value, field) => {
    expect(shape.read(value)).toMatchObject({ ok: false, field, problem: expect.stringMatching(/./) });
  });

  it('never throws', () => {
    fc.assert(fc.property(fc.anything(), (value) => typeof person.read(value).ok === 'boolean'));
  });
});
