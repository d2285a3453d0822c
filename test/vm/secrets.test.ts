/** Secrets are in the guest that they were given to, and nowhere else that anybody looks. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliResult, hearth, jsonOf, SHARED_HOME } from '../support/cli.js';
import { type RunningDaemon, serve } from '../support/daemon.js';

const NAME = `secret-${randomBytes(4).toString('hex')}`;
const secret = (): string => `s3cr3t-${randomBytes(12).toString('hex')}`;
const [TOKEN, KEY, FROM_ENV, LATER] = [secret(), secret(), secret(), secret()];
const ALL = [TOKEN, KEY, FROM_ENV, LATER].map((value) => Buffer.from(value));
let directory: string;
let daemon: RunningDaemon;
const said: CliResult[] = [];

const call = async (
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<CliResult> => {
  const result = await hearth(args, { env });
  said.push(result);
  return result;
};
const sh = async (script: string, ...options: string[]): Promise<CliResult> =>
  await call(['exec', ...options, NAME, '--', 'sh', '-c', script]);

const CHUNK = 1024 * 1024;
const OVERLAP = 64;

/** Whether a secret stands in the file, read piece by piece: disks are large. */
async function hasSecret(path: string): Promise<boolean> {
  const file = await open(path, 'r').catch(() => undefined);
  if (file === undefined) return false;
  try {
    const bytes = Buffer.alloc(CHUNK);
    for (let at = 0; ; at += CHUNK - OVERLAP) {
      const { bytesRead } = await file.read(bytes, 0, CHUNK, at);
      const part = bytes.subarray(0, bytesRead);
      if (ALL.some((value) => part.includes(value))) return true;
      if (bytesRead < CHUNK) return false;
    }
  } finally {
    await file.close();
  }
}

/** Every regular file of hearth's directories that was written since the test began: the rest cannot have one. */
async function filesWithSecrets(since: number): Promise<string[]> {
  const entries = await readdir(SHARED_HOME, { recursive: true, withFileTypes: true });
  const found: string[] = [];
  for (const entry of entries.filter((one) => one.isFile())) {
    const path = join(entry.parentPath, entry.name);
    const stats = await stat(path).catch(() => undefined);
    if (stats !== undefined && stats.mtimeMs >= since && (await hasSecret(path))) found.push(path);
  }
  return found;
}

/** Command lines and environments of every process that works in hearth's directories. */
async function processesWithSecrets(): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    const cmdline = await readFile(`/proc/${pid}/cmdline`).catch(() => Buffer.alloc(0));
    if (!cwd.startsWith(SHARED_HOME) && !cmdline.includes('hearth') && !cmdline.includes('qemu')) continue;
    const environ = await readFile(`/proc/${pid}/environ`).catch(() => Buffer.alloc(0));
    if (ALL.some((value) => cmdline.includes(value) || environ.includes(value))) found.push(pid);
  }
  return found;
}

const started = Date.now() - 2000;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-secrets-'));
  await writeFile(join(directory, 'key'), `${KEY}\n`);
  daemon = await serve(SHARED_HOME);
  const created = await call(
    [
      ...['create', '--start', '--json', '--name', NAME, '--memory', '256M'],
      ...['--secret', `TOKEN=${TOKEN}`, '--secret-file', `KEY=${directory}/key`],
      ...['--secret-env', 'FROM_ENV=MY_VARIABLE', 'debian:12'],
    ],
    { MY_VARIABLE: FROM_ENV },
  );
  expect(created.stderr).toBe('');
});
afterAll(async () => {
  await hearth(['rm', '--force', NAME]);
  await hearth(['rm', '--force', `${NAME}-1`]);
  await hearth(['serve', '--stop']);
  await daemon.ended;
  await rm(directory, { recursive: true, force: true });
});

describe('secrets of a sandbox', () => {
  it('are files in the memory of the guest, and variables of a command that asks for them', async () => {
    const script = [
      'test "$(cat /run/secrets/KEY)" = "$(echo "$SSH_KEY")" && test -n "$SSH_KEY"',
      'test "$(cat /run/secrets/TOKEN)" = "$TOKEN" && test -n "$TOKEN"',
      'test -s /run/secrets/FROM_ENV && test -z "$FROM_ENV"',
      'test "$(stat -f -c %T /run/secrets)" = tmpfs',
      'test "$(printf %s "$TOKEN" | wc -c)" = 31',
    ].join(' && ');
    const { exitCode } = await sh(script, '--secret-env', 'KEY=SSH_KEY', '--secret-env', 'TOKEN');
    expect(exitCode).toBe(0);
    expect((await sh('echo "[$TOKEN]"')).stdout.toString()).toBe('[]\n');
    const other = await sh('true', '--secret-env', 'OTHER');
    expect(other.stderr).toContain('error[SECRET_NOT_FOUND]');
    expect(other.stderr).toContain('It has TOKEN, KEY, FROM_ENV.');
  });

  it('show as [REDACTED] in what comes out, however it comes', async () => {
    const both = await sh('cat /run/secrets/TOKEN; cat /run/secrets/KEY >&2');
    expect([both.stdout.toString(), both.stderr]).toEqual(['[REDACTED]', '[REDACTED]\n']);
    const cut = await sh('head -c 9 /run/secrets/TOKEN; tail -c +10 /run/secrets/TOKEN', '--json');
    expect(jsonOf(cut)).toMatchObject({ stdout: '[REDACTED]' });
    const id = (await sh('cat /run/secrets/TOKEN', '-d')).stdout.toString().trim();
    expect((await call(['exec', '--attach', id, NAME])).stdout.toString()).toBe('[REDACTED]');
    const failed = await call(['exec', '--json', NAME, '--', `/${TOKEN}`]);
    expect(jsonOf(failed)).toMatchObject({ exitCode: 127 });
    expect(failed.stdout.toString()).toContain('[REDACTED]');
    await sh(`: ${TOKEN}`);
    expect((await call(['summary', NAME])).stdout.toString()).toContain(': [REDACTED]');
  });

  it('are shown by name and source alone', async () => {
    const { sandbox } = jsonOf(await call(['inspect', NAME])) as { sandbox: Record<string, unknown> };
    expect(sandbox.secrets).toEqual([
      { name: 'TOKEN', source: 'value' },
      { name: 'KEY', source: 'file' },
      { name: 'FROM_ENV', source: 'env' },
    ]);
  });

  it('come later, too, and are still there after kill -9 of the daemon', async () => {
    const updated = await call(['update', '--json', '--secret-env', 'LATER', NAME], { LATER });
    expect(updated.stderr).toBe('');
    expect((await sh('cat /run/secrets/LATER')).stdout.toString()).toBe('[REDACTED]');
    daemon.child.kill('SIGKILL');
    await daemon.ended;
    daemon = await serve(SHARED_HOME);
    expect((await sh('echo "<$LATER>"', '--secret-env', 'LATER')).stdout.toString()).toBe('<[REDACTED]>\n');
  });

  it('keep the memory of the sandbox from being saved, and do not pass to a copy of its disk', async () => {
    for (const words of [
      ['fork', NAME],
      ['snapshot', 'create', NAME, 'one'],
    ]) {
      const refused = await call(words);
      expect(refused.stderr).toContain('error[SANDBOX_STATE_CONFLICT]');
      expect(refused.stderr).toContain(`hearth stop ${NAME}`);
    }
    expect((await call(['stop', NAME])).exitCode).toBe(0);
    expect((await call(['fork', NAME])).stderr).toBe('');
    const { sandbox } = jsonOf(await call(['inspect', `${NAME}-1`])) as { sandbox: Record<string, unknown> };
    expect(sandbox.secrets).toEqual([]);
    expect((await call(['start', NAME])).exitCode).toBe(0);
    expect((await sh('cat /run/secrets/TOKEN')).stdout.toString()).toBe('[REDACTED]');
  });

  it('are in no file of hearth, in no command line, and in nothing that it said', async () => {
    expect(await filesWithSecrets(started)).toEqual([]);
    expect(await processesWithSecrets()).toEqual([]);
    for (const { stdout, stderr } of said) {
      expect(ALL.some((value) => stdout.includes(value) || stderr.includes(value.toString()))).toBe(false);
    }
    expect(ALL.some((value) => daemon.stderr().includes(value.toString()))).toBe(false);
  });

  it('show as [REDACTED] on the console of a guest that writes them there', async () => {
    await sh('cat /run/secrets/TOKEN > /dev/console');
    const console = async (): Promise<string> => (await call(['logs', NAME])).stdout.toString();
    await expect.poll(console, { timeout: 60_000 }).toContain('[REDACTED]');
    expect(await console()).not.toContain(TOKEN);
  });

  it('are gone with it', async () => {
    const kept = async (): Promise<string[]> => {
      const own = `/dev/shm/hearth-${process.getuid?.()}`;
      const entries = await readdir(own, { recursive: true, withFileTypes: true }).catch(() => []);
      const files = entries.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
      const found = await Promise.all(files.map(async (path) => ((await hasSecret(path)) ? [path] : [])));
      return found.flat();
    };
    expect(await kept()).toHaveLength(1);
    await call(['rm', '--force', NAME]);
    expect(await kept()).toEqual([]);
  });
});

describe('secrets of one command', () => {
  it('are its variables and files, and redacted', async () => {
    const words = ['--secret-env', 'TOKEN', 'debian:12', '--', 'sh', '-c'];
    const script = 'test "$TOKEN" = "$(cat /run/secrets/TOKEN)" && echo "<$TOKEN>"';
    const shown = await call(['run', ...words, script], { TOKEN });
    expect([shown.stdout.toString(), shown.stderr, shown.exitCode]).toEqual(['<[REDACTED]>\n', '', 0]);
    const document = jsonOf(await call(['run', '--json', ...words, 'echo $TOKEN >&2'], { TOKEN }));
    expect(document).toMatchObject({ stderr: '[REDACTED]\n', exitCode: 0 });
  });

  it.each([
    [['--secret', 'swordfish']],
    [['--secret', '=swordfish']],
    [['--secret', '9=swordfish']],
    [['--secret-env', 'swordfish']],
    [['--secret-file', 'A=/dev/null']],
    [['--secret', 'A=swordfish', '--secret', 'A=2']],
  ])('are refused when they mean nothing: %j', async (words) => {
    const { exitCode, stderr } = await hearth(['run', ...words, 'debian:12', 'true']);
    expect([exitCode, stderr]).toEqual([125, expect.stringContaining('error[SECRET_INVALID]')]);
    if (words[0] === '--secret') expect(stderr).not.toContain('swordfish');
  });
});
