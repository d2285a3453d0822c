/** `exec -t` and `shell` on a real terminal: sizes, raw mode, keys. One VM for all of it. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLI, cliEnvironment, hearth, SHARED_HOME } from '../support/cli.js';
import { type RunningDaemon, serve } from '../support/daemon.js';
import { openTerminal, type Terminal } from '../support/terminal.js';

const NAME = `tty-${randomBytes(4).toString('hex')}`;
const WAIT = { timeout: 60_000, interval: 50 };
let daemon: RunningDaemon;
const open: Terminal[] = [];

/** A shell of this machine on a terminal, in which `hearth …` is the program under test. */
async function hostShell(): Promise<Terminal> {
  const script = `hearth() { '${process.execPath}' '${CLI}' "$@"; }; PS1='host> '; PS2=; `;
  const terminal = await openTerminal('bash', ['--norc', '--noprofile', '-i'], {
    env: { ...cliEnvironment(), TERM: 'xterm', PS1: '' },
  });
  open.push(terminal);
  terminal.type(`${script}stty -echo\n`);
  await expect.poll(() => terminal.output(), WAIT).toContain('host> ');
  terminal.forget();
  return terminal;
}

/** Types it and waits for what has to come. */
async function ask(terminal: Terminal, typed: string, answer: string | RegExp): Promise<void> {
  terminal.type(typed);
  await expect.poll(() => terminal.output(), WAIT).toMatch(answer);
  terminal.forget();
}

beforeAll(async () => {
  daemon = await serve(SHARED_HOME);
  const made = await hearth(['create', '--start', '--name', NAME, '--memory', '256M', 'debian:12']);
  expect(made.stderr).toBe('');
});
afterAll(async () => {
  for (const terminal of open) await terminal.close();
  await hearth(['rm', '--force', NAME]);
  await hearth(['serve', '--stop']);
  await daemon.ended;
});

describe('exec -it', () => {
  it('is a terminal of the size of ours, which follows it', async () => {
    const terminal = await hostShell();
    await terminal.resize(100, 30);
    await ask(terminal, `hearth exec -it ${NAME} sh -c 'stty -echo; echo up; exec sh'\n`, /up\r*\n.*[#$] $/s);
    await ask(terminal, 'tty; stty size; echo $TERM\n', /\/dev\/pts\/\d+\r*\n30 100\r*\nxterm\r*\n/);
    await terminal.resize(132, 43);
    // The size arrives in its own time; the shell is asked until it has.
    await expect
      .poll(async () => {
        terminal.type('stty size\n');
        await new Promise((resolve) => setTimeout(resolve, 200));
        return terminal.output();
      }, WAIT)
      .toContain('43 132');
    await ask(terminal, 'exit 7\n', /host> /);
    await ask(terminal, 'echo code $?\n', /code 7\r*\n/);
  });

  it('gives Ctrl-C and Ctrl-D to the guest, not to hearth', async () => {
    const terminal = await hostShell();
    const script = 'trap "echo caught; exit 5" INT; echo up; while :; do sleep 1; done';
    await ask(terminal, `hearth exec -it ${NAME} sh -c '${script}'\n`, /up\r*\n/);
    await ask(terminal, '\u0003', /caught\r*\n[\s\S]*host> $/);
    await ask(terminal, 'echo code $?\n', /code 5\r*\n[\s\S]*host> $/);
    await ask(terminal, `hearth exec -it ${NAME} sh -c 'echo up; cat; echo over'\n`, /up\r*\n/);
    await ask(terminal, 'word\n', /word\r*\nword\r*\n/);
    await ask(terminal, '\u0004', /over\r*\n[\s\S]*host> $/);
  });

  it('leaves our terminal as it was, however it ends', async () => {
    const terminal = await hostShell();
    const settings = async (): Promise<string> => {
      terminal.type('echo "<$(stty -g)>"\n');
      await expect.poll(() => terminal.output(), WAIT).toMatch(/<[0-9a-f:]+>/);
      const found = /<([0-9a-f:]+)>/.exec(terminal.output())?.[1] ?? '';
      await expect.poll(() => terminal.output(), WAIT).toMatch(/host> $/);
      terminal.forget();
      return found;
    };
    const before = await settings();
    await ask(terminal, `hearth exec -it ${NAME} true\n`, /host> $/);
    expect(await settings()).toBe(before);
    await ask(terminal, `hearth exec -it ${NAME} /no/such/command\n`, /EXEC_NOT_FOUND[\s\S]*host> $/);
    expect(await settings()).toBe(before);
    await ask(terminal, `hearth exec -it ${NAME} sh -c 'echo up; kill -9 $$'\n`, /up[\s\S]*host> $/);
    expect(await settings()).toBe(before);
  });

  it('is left by ctrl-p ctrl-q, and taken up again', async () => {
    const terminal = await hostShell();
    await ask(terminal, `hearth exec -it ${NAME} sh -c 'stty -echo; echo up; exec sh'\n`, /up\r*\n.*[#$] $/s);
    await ask(terminal, 'kept=42; echo set\n', /set\r*\n/);
    terminal.type('\u0010\u0011');
    const left = /hearth exec --attach (\d+) \S+\r*\n/;
    await expect.poll(() => terminal.output(), WAIT).toMatch(left);
    const id = left.exec(terminal.output())?.[1];
    await expect.poll(() => terminal.output(), WAIT).toMatch(/host> $/);
    terminal.forget();
    terminal.type(`hearth exec --attach ${id} ${NAME}\n`);
    await expect.poll(() => terminal.output(), WAIT).toMatch(/set\r*\n/);
    terminal.forget();
    await ask(terminal, 'echo kept $kept\n', /kept 42\r*\n/);
    await ask(terminal, 'exit\n', /host> /);
  });

  it('refuses a terminal that is none', async () => {
    const { stderr, exitCode } = await hearth(['exec', '-it', NAME, 'true']);
    expect(stderr).toContain('error[USAGE_INVALID]');
    expect(exitCode).toBe(125);
  });
});

describe('shell', () => {
  it('is a login shell on our terminal, and ends with its own code', async () => {
    const terminal = await hostShell();
    await ask(terminal, `hearth shell ${NAME}\n`, /[#$] $/);
    await ask(terminal, 'stty -echo; echo "$0 $(tty) $PWD"\n', /-?bash \/dev\/pts\/\d+ \/\S*\r*\n/);
    await ask(terminal, 'exit 3\n', /host> /);
    await ask(terminal, 'echo code $?\n', /code 3\r*\n/);
  });
});
