/** What is on the disk of a sandbox, read without its guest: while it runs, after it was killed, and when it is stopped. */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runTool } from '../../src/subprocess/index.js';
import { hearth, jsonOf, SHARED_HOME } from '../support/cli.js';

const NAME = `disk-${randomBytes(4).toString('hex')}`;
let directory: string;

const sh = async (script: string): Promise<void> => {
  const { exitCode, stderr } = await hearth(['exec', NAME, '--', 'sh', '-c', script]);
  expect([exitCode, stderr]).toEqual([0, '']);
};
const out = async (...args: string[]): Promise<string> => {
  const { exitCode, stdout, stderr } = await hearth(args);
  expect([exitCode, stderr]).toEqual([0, '']);
  return stdout.toString();
};
const tool = (name: string, args: string[]): ReturnType<typeof runTool> =>
  runTool(name, args, { timeoutMs: 120_000, okExitCodes: [0, 1], maxOutputBytes: 8 * 1024 * 1024 });
const host = (path: string): string => join(directory, path);

interface Change {
  readonly change: string;
  readonly path: string;
  readonly parts: readonly string[];
  readonly now: { readonly sha256: string | null; readonly kind: string } | null;
}
const changes = async (): Promise<readonly Change[]> =>
  jsonOf(await hearth(['diff', '--json', NAME])).changes as readonly Change[];

/** What every guest writes for itself. */
const OWN = ['A /etc/hosts', 'A /etc/machine-id', 'A /etc/hostname', 'A /etc/resolv.conf'];
const shown = async (): Promise<string[]> =>
  (await out('diff', NAME)).split('\n').filter((line) => line !== '' && !OWN.includes(line));

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-disk-'));
  const created = await hearth(['create', '--name', NAME, '--memory', '256M', 'debian:12']);
  expect(created.stderr).toBe('');
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
  await hearth(['rm', '--force', NAME]);
  await hearth(['serve', '--stop']);
});

describe('before it has run', () => {
  it('has no changes, and its files are those of the environment', async () => {
    expect(await out('diff', NAME)).toBe('');
    expect(await out('disk', 'read', NAME, '/etc/os-release')).toContain('ID=debian');
    const { entries } = jsonOf(await hearth(['disk', 'list', '--json', NAME, '/etc/apt'])) as {
      entries: readonly { path: string; kind: string }[];
    };
    expect(entries).toContainEqual(expect.objectContaining({ path: 'sources.list.d', kind: 'directory' }));
  });
});

describe('while it runs', () => {
  it('shows what it has changed, and goes on', async () => {
    await hearth(['start', NAME]);
    await sh(
      'printf "old\\nnew\\n" > /etc/issue.net; rm /etc/debian_version; chmod 600 /etc/issue; touch /etc/motd; ' +
        'mkdir -p /data/d; echo one > /data/d/f; ln -s f /data/d/l; rm -r /usr/share/doc/apt; ' +
        'head -c 300000 /dev/urandom > /data/big; chown 7:8 /etc/host.conf',
    );
    const lines = await shown();
    expect(lines.filter((line) => !line.includes('/usr/share/doc/apt/'))).toEqual([
      'A /data',
      'A /data/big',
      'A /data/d',
      'A /data/d/f',
      'A /data/d/l',
      'D /etc/debian_version',
      'M /etc/host.conf',
      'M /etc/issue',
      'M /etc/issue.net',
      'D /usr/share/doc/apt',
    ]);
    const found = await changes();
    const of = (path: string): Change | undefined => found.find((change) => change.path === path);
    expect(of('/etc/issue')?.parts).toEqual(['mode']);
    expect(of('/etc/host.conf')?.parts).toEqual(['owner']);
    expect(of('/etc/issue.net')?.parts).toEqual(['content']);
    expect(of('/data/d/f')?.now?.sha256).toBe(
      '2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806',
    );
    expect(jsonOf(await hearth(['inspect', NAME]))).toMatchObject({ sandbox: { state: 'running' } });
    await sh('echo goes on');
    const own = join(
      SHARED_HOME,
      'state/sandboxes',
      String((jsonOf(await hearth(['inspect', NAME])) as { sandbox: { id: string } }).sandbox.id),
    );
    expect((await readdir(own)).filter((name) => name.startsWith('look-'))).toEqual([]);
  });

  it('gives a patch that git applies', async () => {
    const patch = await out('diff', '--patch', NAME);
    await mkdir(host('repo/etc'), { recursive: true });
    await writeFile(host('repo/etc/issue.net'), 'Debian GNU/Linux 12\n');
    await writeFile(host('changes.patch'), patch);
    const applied = await tool('git', [
      '-C',
      host('repo'),
      'apply',
      '--include=etc/issue.net',
      '--include=data/*',
      host('changes.patch'),
    ]);
    expect(applied.exitCode).toBe(0);
    expect(await readFile(host('repo/etc/issue.net'), 'utf8')).toBe('old\nnew\n');
    expect(await readFile(host('repo/data/d/f'), 'utf8')).toBe('one\n');
    expect((await stat(host('repo/data/big'))).size).toBe(300_000);
  });

  it('gives a layer with whiteouts', async () => {
    await out('diff', '--tar', host('layer.tar'), NAME);
    const { stdout } = await tool('tar', ['-tf', host('layer.tar')]);
    const names = stdout.toString().split('\n');
    expect(names).toEqual(
      expect.arrayContaining([
        './etc/.wh.debian_version',
        './usr/share/doc/.wh.apt',
        './data/d/f',
        './etc/issue',
      ]),
    );
    expect(names.filter((name) => name.includes('doc/apt/'))).toEqual([]);
  });
});

describe('after its VM was killed', () => {
  it('has what its journal still has to say: as e2fsck and debugfs see it', async () => {
    await sh('mkdir /burst; i=0; while [ $i -lt 300 ]; do echo $i > /burst/f$i; i=$((i+1)); done; sync');
    const { sandbox } = jsonOf(await hearth(['inspect', NAME])) as {
      sandbox: { pid: number; id: string };
    };
    process.kill(sandbox.pid, 'SIGKILL');
    await expect
      .poll(async () => jsonOf(await hearth(['inspect', NAME])), { timeout: 60_000 })
      .toMatchObject({ sandbox: { state: 'failed' } });
    await out('disk', 'export', '-o', host('image'), NAME);
    const dirty = await tool('dumpe2fs', ['-h', host('image')]);
    expect(dirty.stdout.toString()).toContain('needs_recovery');
    const listed = jsonOf(
      await hearth(['disk', 'list', '--json', '--recursive', '--max-entries', '50000', NAME, '/']),
    ).entries as readonly { path: string; kind: string; sizeBytes: number }[];
    expect(listed.filter(({ path }) => path.startsWith('burst/f'))).toHaveLength(300);
    // e2fsck replays the journal of a copy, and finds the rest in order.
    const checked = await tool('e2fsck', ['-fy', host('image')]);
    expect(checked.exitCode).toBeLessThanOrEqual(1);
    const seen = await tool('debugfs', ['-R', 'ls -p /burst', host('image')]);
    const names = [...seen.stdout.toString().matchAll(/\/(f\d+)\//g)].map(([, name]) => `burst/${name}`);
    expect(listed.flatMap(({ path }) => (path.startsWith('burst/f') ? [path] : [])).sort()).toEqual(
      names.sort(),
    );
    expect(await out('disk', 'read', NAME, '/burst/f299')).toBe('299\n');
  });

  it('can be exported as a tar archive that holds everything', async () => {
    await out('export', '-o', host('all.tar'), NAME);
    const { stdout } = await tool('tar', ['-tf', host('all.tar')]);
    const listed = jsonOf(
      await hearth(['disk', 'list', '--json', '--recursive', '--max-entries', '50000', NAME]),
    ).entries as readonly { path: string; kind: string }[];
    const expected = listed.map(({ path, kind }) => (kind === 'directory' ? `./${path}/` : `./${path}`));
    expect(
      stdout
        .toString()
        .split('\n')
        .filter((name) => name !== '' && name !== './')
        .sort(),
    ).toEqual(expected.sort());
    const part = await hearth(['export', NAME, '/data/d']);
    await writeFile(host('part.tar'), part.stdout);
    const names = await tool('tar', ['-tf', host('part.tar')]);
    expect(names.stdout.toString()).toBe('d/\nd/f\nd/l\n');
  });

  it.each([
    [['disk', 'read', NAME, '/no/such'], 'GUEST_FILE_NOT_FOUND'],
    [['disk', 'read', NAME, '/etc'], 'GUEST_FILE_INVALID'],
    [['disk', 'list', NAME, '/no'], 'GUEST_FILE_NOT_FOUND'],
    [['diff', '--tar', '-', '--patch', NAME], 'USAGE_INVALID'],
    [['export', 'no-such-sandbox'], 'SANDBOX_NOT_FOUND'],
  ])('refuses %s', async (args, code) => {
    const { exitCode, stderr } = await hearth(args);
    expect(stderr).toContain(`error[${code}]`);
    expect(exitCode).not.toBe(0);
  });
});
