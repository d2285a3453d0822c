/** Files of a sandbox from outside: copied both ways. */
import { randomBytes } from 'node:crypto';
import {
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliResult, hearth } from '../support/cli.js';

const NAME = `files-${randomBytes(4).toString('hex')}`;
let directory: string;

const sh = async (script: string): Promise<string> => {
  const { exitCode, stdout, stderr } = await hearth(['exec', NAME, '--', 'sh', '-c', script]);
  expect([exitCode, stderr]).toEqual([0, '']);
  return stdout.toString();
};
const ok = async (...args: string[]): Promise<CliResult> => {
  const result = await hearth(args);
  expect([result.exitCode, result.stderr]).toEqual([0, '']);
  return result;
};
const host = (path: string): string => join(directory, path);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-files-'));
  const created = await hearth(['create', '--start', '--name', NAME, '--memory', '256M', 'debian:12']);
  expect(created.stderr).toBe('');
  await mkdir(host('src/sub'), { recursive: true });
  await writeFile(host('src/a'), 'content of a', { mode: 0o640 });
  await writeFile(host('src/sub/\u00fc b'), randomBytes(300_000));
  await symlink('../a', host('src/sub/link'));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
  await hearth(['rm', '--force', NAME]);
  await hearth(['serve', '--stop']);
});

describe('cp', () => {
  it('brings a directory in and out again as it was', async () => {
    await ok('cp', host('src'), `${NAME}:/root/new`);
    await ok('cp', `${NAME}:/root/new`, host('back'));
    expect((await readdir(host('back'), { recursive: true })).sort()).toEqual(
      (await readdir(host('src'), { recursive: true })).sort(),
    );
    for (const name of ['a', 'sub/\u00fc b']) {
      const [one, other] = await Promise.all(
        [host(`src/${name}`), host(`back/${name}`)].map(async (path) => [
          await readFile(path),
          (await stat(path)).mode,
          Math.floor((await stat(path)).mtimeMs),
        ]),
      );
      expect(other).toEqual(one);
    }
    expect(await readlink(host('back/sub/link'))).toBe('../a');
  });

  it('puts a directory into a directory, and what is in it with /.', async () => {
    await sh('mkdir -p /root/into /root/flat');
    await ok('cp', host('src'), `${NAME}:/root/into`);
    await ok('cp', `${host('src')}/.`, `${NAME}:/root/flat/`);
    expect(await sh('cd /root; ls into into/src flat')).toBe(
      'flat:\na\nsub\n\ninto:\nsrc\n\ninto/src:\na\nsub\n',
    );
    await mkdir(host('flat'));
    await ok('cp', `${NAME}:/root/flat/.`, host('flat'));
    expect((await readdir(host('flat'))).sort()).toEqual(['a', 'sub']);
  });

  it('gives files to root unless owners are kept', async () => {
    await sh('rm -rf /root/own; mkdir /root/own; echo x > /root/own/f; chown 1234:55 /root/own/f');
    await ok('cp', `${NAME}:/root/own/f`, host('mine'));
    expect((await stat(host('mine'))).uid).toBe(process.getuid?.());
    const archive = await ok('cp', `${NAME}:/root/own`, '-');
    const again = await hearth(['cp', '-a', '-', `${NAME}:/tmp`], { input: archive.stdout });
    expect(again.exitCode).toBe(0);
    expect(await sh('stat -c %u:%g /tmp/own/f')).toBe('1234:55\n');
    await sh('rm -r /tmp/own');
    await hearth(['cp', '-', `${NAME}:/tmp`], { input: archive.stdout });
    expect(await sh('stat -c %u:%g /tmp/own/f')).toBe('0:0\n');
  });

  it('keeps a link, or follows it with -L', async () => {
    await sh('echo of-it > /root/real; ln -sf real /root/one; ln -sf /root/one /root/two');
    await ok('cp', `${NAME}:/root/two`, host('two'));
    expect((await lstat(host('two'))).isSymbolicLink()).toBe(true);
    await ok('cp', '-L', `${NAME}:/root/two`, host('followed'));
    expect(await readFile(host('followed'), 'utf8')).toBe('of-it\n');
    // A file that a link leads to is written, not the link.
    await ok('cp', host('src/a'), `${NAME}:/root/two`);
    expect(await sh('cat /root/real; readlink /root/two')).toBe('content of a/root/one\n');
  });

  it('keeps hard links in both directions', async () => {
    await sh('mkdir /root/hard; cd /root/hard; echo x > a; ln a b');
    await ok('cp', `${NAME}:/root/hard`, host('hard'));
    expect((await stat(host('hard/a'))).ino).toBe((await stat(host('hard/b'))).ino);
    await ok('cp', host('hard'), `${NAME}:/root/again`);
    expect(await sh('cd /root/again; [ a -ef b ] && cat b')).toBe('x\n');
  });

  it('says what it copied as JSON, and leaves devices out', async () => {
    await sh('mkdir /root/odd; mknod /root/odd/null c 1 3; mkfifo /root/odd/pipe; echo x > /root/odd/f');
    const { exitCode, stdout, stderr } = await hearth(['cp', '--json', `${NAME}:/root/odd`, host('odd')]);
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout.toString())).toEqual({
      schemaVersion: 1,
      from: `${NAME}:/root/odd`,
      to: host('odd'),
      entryCount: 4,
      contentBytes: 2,
      skipped: expect.arrayContaining([
        { path: 'odd/null', kind: 'character' },
        { path: 'odd/pipe', kind: 'fifo' },
      ]),
      skippedCount: 2,
    });
    expect(await readdir(host('odd'))).toEqual(['f']);
  });

  it.each([
    ['a directory over a file', ['src', 'NAME:/etc/passwd'], 5, 'COPY_TARGET_CONFLICT'],
    ['what is not there', ['NAME:/no/such', 'x'], 3, 'GUEST_FILE_NOT_FOUND'],
    ['a file of the host that is not there', ['nothing', 'NAME:/root'], 3, 'FILE_NOT_FOUND'],
    ['to a directory that is not there', ['src/a', 'NAME:/no/'], 3, 'FILE_NOT_FOUND'],
    ['from sandbox to sandbox', ['NAME:/a', 'NAME:/b'], 2, 'USAGE_INVALID'],
    ['from host to host', ['src/a', 'b'], 2, 'USAGE_INVALID'],
  ])('refuses %s', async (_name, args, code, error) => {
    const words = args.map((word) =>
      word.startsWith('NAME:') ? word.replace('NAME', NAME) : word.includes(':') ? word : host(word),
    );
    const { exitCode, stderr } = await hearth(['cp', ...words]);
    expect(stderr).toContain(`error[${error}]`);
    expect(exitCode).toBe(code);
  });

  it('writes nothing through a link that is in the way', async () => {
    await mkdir(host('outside'));
    await mkdir(host('target'));
    await symlink('../outside', host('target/d'));
    await sh('mkdir -p /root/evil/d; echo x > /root/evil/d/f');
    const { exitCode, stderr } = await hearth(['cp', `${NAME}:/root/evil/.`, host('target')]);
    expect(stderr).toContain('error[COPY_TARGET_CONFLICT]');
    expect(exitCode).toBe(5);
    expect(await readdir(host('outside'))).toEqual([]);
  });
});
