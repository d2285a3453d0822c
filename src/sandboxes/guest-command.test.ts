import { describe, expect, it } from 'vitest';
import {
  type CommandWishes,
  type ImageDefaults,
  parseEnvFile,
  parseEnvWords,
  resolveGuestCommand,
} from './guest-command.js';

const NOTHING: CommandWishes = { command: [], env: new Map() };
const usage = expect.objectContaining({ code: 'USAGE_INVALID' });

describe('resolveGuestCommand', () => {
  const cases: ReadonlyArray<[string, ImageDefaults, Partial<CommandWishes>, string[]]> = [
    ['only a command', {}, { command: ['ls', '/'] }, ['ls', '/']],
    ['only the image Cmd', { cmd: ['bash'] }, {}, ['bash']],
    ['only the image Entrypoint', { entrypoint: ['/init'] }, {}, ['/init']],
    ['Entrypoint and Cmd', { entrypoint: ['/e'], cmd: ['c'] }, {}, ['/e', 'c']],
    [
      'a command replaces Cmd, not Entrypoint',
      { entrypoint: ['/e'], cmd: ['c'] },
      { command: ['x'] },
      ['/e', 'x'],
    ],
    ['--entrypoint drops Cmd', { entrypoint: ['/e'], cmd: ['c'] }, { entrypoint: '/f' }, ['/f']],
    [
      '--entrypoint with a command',
      { entrypoint: ['/e'] },
      { entrypoint: '/f', command: ['x'] },
      ['/f', 'x'],
    ],
    ["--entrypoint '' with a command", { entrypoint: ['/e'] }, { entrypoint: '', command: ['x'] }, ['x']],
    [
      'words are kept exactly',
      {},
      { command: ['sh', '-c', 'echo "a  b"', ''] },
      ['sh', '-c', 'echo "a  b"', ''],
    ],
  ];
  it.each(cases)('%s', (_name, image, wishes, argv) => {
    expect(resolveGuestCommand(image, { ...NOTHING, ...wishes }).argv).toEqual(argv);
  });

  it.each([
    ['nothing at all', {}, {}],
    ["--entrypoint '' and no command", { entrypoint: ['/e'], cmd: ['c'] }, { entrypoint: '' }],
    ['a relative workdir', { cmd: ['c'] }, { workdir: 'tmp' }],
    ['a relative WorkingDir', { cmd: ['c'], workingDir: 'app' }, {}],
  ])('refuses %s', (_name, image, wishes) => {
    expect(() => resolveGuestCommand(image, { ...NOTHING, ...wishes })).toThrow(usage);
  });

  it('puts the wishes above the image and the image above the defaults', () => {
    const image = {
      cmd: ['c'],
      env: ['A=1', 'B=2', 'PATH=/p', 'bad', '=x', 'C=a=b'],
      workingDir: '/app',
      user: 'node',
    };
    const { env, cwd, user } = resolveGuestCommand(image, { ...NOTHING, env: new Map([['B', '3']]) });
    expect(Object.fromEntries(env)).toEqual({ A: '1', B: '3', PATH: '/p', C: 'a=b' });
    expect([cwd, user]).toEqual(['/app', 'node']);
    const own = resolveGuestCommand(image, { ...NOTHING, workdir: '/w', user: '5:6' });
    expect([own.cwd, own.user]).toEqual(['/w', '5:6']);
  });

  it('falls back to / and root, with the usual PATH', () => {
    const { env, cwd, user } = resolveGuestCommand({ cmd: ['c'], workingDir: '', user: '' }, NOTHING);
    expect([cwd, user, env.get('PATH')]).toEqual([
      '/',
      '',
      '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    ]);
  });
});

describe('parseEnvWords', () => {
  const host = { HOME: '/h' };
  it.each([
    ['A=1', { A: '1' }],
    ['A=', { A: '' }],
    ['A=b=c', { A: 'b=c' }],
    ['HOME', { HOME: '/h' }],
    ['NOT_SET_HERE', {}],
  ])('%s', (word, expected) => {
    expect(Object.fromEntries(parseEnvWords([word], host))).toEqual(expected);
  });

  it.each(['', '=1', 'A=\0', '\0'])('refuses %j', (word) => {
    expect(() => parseEnvWords([word], host)).toThrow(usage);
  });

  it('reads files with comments, blank lines and either line end', () => {
    expect(Object.fromEntries(parseEnvFile('# a comment\n\nA=1\r\n  B=two words \nHOME\n', host))).toEqual({
      A: '1',
      B: 'two words ',
      HOME: '/h',
    });
  });
});
