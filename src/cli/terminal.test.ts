import { describe, expect, it } from 'vitest';
import { nearest } from './nearest.js';
import { escapeControls, isInteractive, styleFor, table } from './terminal.js';

describe('escapeControls', () => {
  it.each([
    ['plain text', 'plain text'],
    ['two\nlines\tand tabs', 'two\nlines\tand tabs'],
    ['\u001b]52;c;x\u0007', '\\x1b]52;c;x\\x07'],
    ['\u009b31m', '\\x9b31m'],
    ['a\rb\u0000\u007f', 'a\\x0db\\x00\\x7f'],
    ['héllo ✓', 'héllo ✓'],
  ])('%j', (text, safe) => {
    expect(escapeControls(text)).toBe(safe);
  });
});

describe('styleFor', () => {
  it.each([
    ['a terminal', { isTTY: true }, {}, true],
    ['a file', {}, {}, false],
    ['NO_COLOR', { isTTY: true }, { NO_COLOR: '1' }, false],
    ['an empty NO_COLOR', { isTTY: true }, { NO_COLOR: '' }, true],
    ['a dumb terminal', { isTTY: true }, { TERM: 'dumb' }, false],
    ['FORCE_COLOR on a file', {}, { FORCE_COLOR: '1' }, true],
    ['NO_COLOR above FORCE_COLOR', {}, { FORCE_COLOR: '1', NO_COLOR: '1' }, false],
  ])('%s', (_name, stream, env, coloured) => {
    expect(styleFor(stream, env).red('x') !== 'x').toBe(coloured);
  });
});

describe('isInteractive', () => {
  it.each([
    [{ isTTY: true }, {}, true],
    [{ isTTY: true }, { CI: 'true' }, false],
    [{ isTTY: true }, { TERM: 'dumb' }, false],
    [{}, {}, false],
  ])('%j %j', (stream, env, expected) => {
    expect(isInteractive(stream, env)).toBe(expected);
  });
});

describe('table', () => {
  it('aligns columns and leaves no space at the ends of lines', () => {
    expect(
      table(
        ['NAME', 'SIZE'],
        [
          ['a', '1'],
          ['longer', ''],
        ],
      ),
    ).toBe('NAME    SIZE\na       1\nlonger\n');
    expect(table(['ONLY'], [])).toBe('ONLY\n');
  });
});

describe('nearest', () => {
  it.each([
    ['rum', 'run'],
    ['verison', 'version'],
    ['x', undefined],
    ['completely', undefined],
  ])('%s', (typed, name) => {
    expect(nearest(typed, ['run', 'version', 'doctor'])).toBe(name);
  });
});
