import { describe, expect, it } from 'vitest';
import { type Command, parseArguments } from './command.js';

const plain: Command = {
  name: 'thing do',
  summary: '',
  usage: 'NAME',
  options: {
    size: { type: 'string', help: '' },
    tag: { type: 'string', short: 't', multiple: true, help: '' },
    force: { type: 'boolean', short: 'f', help: '' },
  },
  positionals: { least: 1, most: 2 },
  run: async () => 0,
};
const runLike: Command = { ...plain, positionals: { least: 1, most: 1 }, passesRest: true };

describe('parseArguments', () => {
  it('reads options, lists and positionals in any order', () => {
    const args = parseArguments(plain, ['-t', 'a', 'one', '--size=4G', '--tag', 'b', 'two', '-f']);
    expect(args.positionals).toEqual(['one', 'two']);
    expect([args.text('size'), args.list('tag'), args.flag('force'), args.flag('verbose')]).toEqual([
      '4G',
      ['a', 'b'],
      true,
      false,
    ]);
    expect([args.text('tag'), args.list('size'), args.text('none')]).toEqual([undefined, [], undefined]);
  });

  it.each([
    ['too few words', []],
    ['too many words', ['a', 'b', 'c']],
    ['an unknown option', ['a', '--frob']],
    ['a value that is missing', ['a', '--size']],
    ['a value for a flag', ['a', '--force=yes']],
  ])('refuses %s', (_name, words) => {
    expect(() => parseArguments(plain, words)).toThrow(expect.objectContaining({ code: 'USAGE_INVALID' }));
  });

  it('asks for nothing but --help where help is wanted', () => {
    expect(parseArguments(plain, ['--help']).flag('help')).toBe(true);
  });

  it.each<[string, string[], string[], boolean]>([
    ['plain words', ['img', 'ls', '/'], ['ls', '/'], false],
    ["the guest's own options", ['img', 'ls', '-f', '--size', '1'], ['ls', '-f', '--size', '1'], false],
    ['options before the image', ['-f', '--size', '4G', 'img', 'ls', '-f'], ['ls', '-f'], true],
    ['a -- before the command', ['img', '--', '-f'], ['-f'], false],
    ['only the first --', ['img', '--', '--', 'x'], ['--', 'x'], false],
    ['a -- before the image', ['--', 'img', 'x'], ['x'], false],
    ['no command', ['img'], [], false],
    ['empty words', ['img', '', ' '], ['', ' '], false],
  ])('leaves to the guest: %s', (_name, words, rest, force) => {
    const args = parseArguments(runLike, words);
    expect([args.positionals, args.rest, args.flag('force')]).toEqual([['img'], rest, force]);
  });
});
