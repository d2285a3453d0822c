import { describe, expect, it } from 'vitest';
import { HearthError } from '../../errors/index.js';
import { assertSecrets, MAX_SECRET_BYTES, type Secret, secretVariables } from './secret.js';

const secrets = (count: number): Secret[] =>
  Array.from({ length: count }, (_, index) => ({ name: `S${index}`, value: 'v' }));

describe('assertSecrets', () => {
  it.each([
    ['none', []],
    ['as many as are kept', secrets(64)],
    ['the shortest', [{ name: '_', value: 'v' }]],
    ['the longest', [{ name: 'N'.repeat(64), value: 'v'.repeat(MAX_SECRET_BYTES) }]],
    ['lines and any character', [{ name: 'KEY', value: 'a\nb é 💡 = "' }]],
  ])('takes %s', (_, given) => {
    expect(() => assertSecrets(given)).not.toThrow();
  });

  it.each([
    ['too many', secrets(65)],
    ['no name', [{ name: '', value: 'swordfish' }]],
    ['a name with a digit first', [{ name: '1A', value: 'swordfish' }]],
    ['a name that leads elsewhere', [{ name: '../A', value: 'swordfish' }]],
    ['a name that is the value', [{ name: 'swordfish=', value: 'x' }]],
    ['a name that is too long', [{ name: 'N'.repeat(65), value: 'swordfish' }]],
    ['an empty value', [{ name: 'A', value: '' }]],
    ['a value that is too long', [{ name: 'A', value: 'swordfish'.padEnd(MAX_SECRET_BYTES + 1, 's') }]],
    ['a NUL', [{ name: 'A', value: 'swordfish\0' }]],
    [
      'one name twice',
      [
        { name: 'A', value: 'swordfish' },
        { name: 'A', value: 'b' },
      ],
    ],
  ])('refuses %s, and does not repeat it', (_, given) => {
    try {
      assertSecrets(given);
      expect.unreachable();
    } catch (error) {
      expect(HearthError.is(error) && error.code).toBe('SECRET_INVALID');
      expect(JSON.stringify(error)).not.toContain('swordfish');
    }
  });
});

describe('secretVariables', () => {
  const values = new Map([['TOKEN', 'swordfish']]);

  it('gives a secret to several variables', () => {
    expect(secretVariables({ A: 'TOKEN', B: 'TOKEN' }, values, 'dev')).toEqual({
      A: 'swordfish',
      B: 'swordfish',
    });
  });

  it.each([
    [values, 'It has TOKEN.'],
    [new Map<string, string>(), 'Give it one: hearth update --secret-file NAME=PATH dev'],
  ])('says which secrets there are instead', (present, hint) => {
    expect(() => secretVariables({ A: 'OTHER' }, present, 'dev')).toThrow(
      expect.objectContaining({ code: 'SECRET_NOT_FOUND', hint }),
    );
  });
});
