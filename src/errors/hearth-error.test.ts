import { describe, expect, it } from 'vitest';
import { errnoOf, fileError } from './errno.js';
import { HearthError } from './hearth-error.js';

describe('HearthError', () => {
  it('carries code, kind, hint, details and cause, and leaves the cause out of its wire form', () => {
    const cause = new Error('why');
    const error = new HearthError('DISK_FULL', 'no space', {
      hint: 'Free some.',
      details: { path: '/x' },
      cause,
    });
    expect(error.cause).toBe(cause);
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      code: 'DISK_FULL',
      kind: 'limit',
      message: 'no space',
      hint: 'Free some.',
      details: { path: '/x' },
    });
  });

  it('is told apart from other errors', () => {
    expect(HearthError.is(new HearthError('INTERNAL', 'x'))).toBe(true);
    for (const other of [new Error('x'), { code: 'INTERNAL' }, undefined, null])
      expect(HearthError.is(other)).toBe(false);
  });
});

describe('fileError', () => {
  it.each([
    ['ENOSPC', 'DISK_FULL'],
    ['EDQUOT', 'DISK_FULL'],
    ['EACCES', 'FILE_UNREADABLE'],
    ['EROFS', 'FILE_UNREADABLE'],
    ['ENOENT', 'FILE_NOT_FOUND'],
  ])('%s becomes %s', (errno, code) => {
    const error = Object.assign(new Error('x'), { code: errno });
    expect(fileError(error, '/x')).toMatchObject({ code, details: { path: '/x', errno } });
  });

  it('leaves the rest as it is', () => {
    for (const error of [
      new HearthError('INTERNAL', 'x'),
      Object.assign(new Error('x'), { code: 'EIO' }),
      'text',
    ]) {
      expect(fileError(error, '/x')).toBe(error);
    }
    expect(errnoOf(new HearthError('INTERNAL', 'x'))).toBeUndefined();
  });
});
