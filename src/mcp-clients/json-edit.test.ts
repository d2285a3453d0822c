import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { setJsonMember } from './json-edit.js';

const VALUE = { command: 'x' };

describe('one member of a JSON text', () => {
  it.each([
    ['a blank file', '', '{\n  "a": {\n    "b": {\n      "command": "x"\n    }\n  }\n}\n'],
    ['an empty object', '{}', '{\n  "a": {\n    "b": {\n      "command": "x"\n    }\n  }\n}'],
    ['an empty parent', '{"a": {}}', '{"a": {\n    "b": {\n      "command": "x"\n    }\n  }}'],
    [
      'the last of others, in their indentation',
      '{\n\t"z": 1e400,\n\t"a": {\n\t\t"c": [1, "}"]\n\t}\n}\n',
      '{\n\t"z": 1e400,\n\t"a": {\n\t\t"c": [1, "}"],\n\t\t"b": {\n\t\t\t"command": "x"\n\t\t}\n\t}\n}\n',
    ],
    [
      'lines that end in CR LF',
      '{\r\n  "z": 1\r\n}',
      '{\r\n  "z": 1,\r\n  "a": {\r\n    "b": {\r\n      "command": "x"\r\n    }\r\n  }\r\n}',
    ],
    [
      'in place of the old one',
      '{"a":{"b":[{"b":"\\"}"}],"c":2}}',
      '{"a":{"b":{\n      "command": "x"\n    },"c":2}}',
    ],
    [
      'of two with one name the last',
      '{"a":1,"a":{"b":0}}',
      '{"a":1,"a":{"b":{\n      "command": "x"\n    }}}',
    ],
    [
      'a name that is written with escapes',
      '{"\\u0061":{"b":0}}',
      '{"\\u0061":{"b":{\n      "command": "x"\n    }}}',
    ],
  ])('goes into %s', (_what, before, after) => {
    expect(setJsonMember(before, ['a', 'b'], VALUE)).toBe(after);
  });

  it('is all that changes in any document, however it is written', () => {
    const object = fc.dictionary(
      fc.oneof(fc.constantFrom('a', 'b', '__proto__'), fc.string()),
      fc.jsonValue(),
    );
    fc.assert(
      fc.property(
        object,
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.constantFrom(0, 1, '\t', '   '),
        (outer, inner, indent) => {
          const text = JSON.stringify(
            Object.fromEntries([...Object.entries(outer), ['a', inner]]),
            null,
            indent,
          );
          const document = JSON.parse(text) as { a: object };
          const edited = setJsonMember(text, ['a', 'b'], VALUE);
          expect(JSON.parse(edited)).toEqual({ ...document, a: { ...document.a, b: VALUE } });
        },
      ),
    );
  });
});
