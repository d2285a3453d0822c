/** Trees as tar archives through the real agent, with GNU tar as the judge of both directions. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SandboxFiles } from '../../src/sandboxes/files/sandbox-files.js';
import type { Sandbox } from '../../src/sandboxes/sandbox.js';
import { encodeTarEntry, type NewTarEntry, TAR_END } from '../../src/tar/index.js';
import { AGENTS, buildAgents, type LocalAgent, startLocalAgent } from '../support/agent.js';

const run = promisify(execFile);
beforeAll(buildAgents);

describe.each(AGENTS)('%s', (_name, path) => {
  let agent: LocalAgent;
  let directory: string;
  let files: SandboxFiles;
  const at = (name: string): string => join(directory, name);
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hearth-tar-'));
    agent = await startLocalAgent({ path });
    const sandbox: Pick<Sandbox, 'use' | 'stream'> = {
      use: (body) => body(agent.client),
      async *stream(open) {
        yield* open(agent.client);
      },
    };
    files = new SandboxFiles(() => sandbox as Sandbox);
  });
  afterEach(async () => {
    await agent.close();
    await rm(directory, { recursive: true });
  });

  const untar = async (archive: Buffer, into: string): Promise<void> => {
    await mkdir(into);
    const tar = execFile('tar', ['-xp', '-C', into]);
    tar.stdin?.end(archive);
    const [code] = await once(tar, 'exit');
    expect(code).toBe(0);
  };

  it('archives what GNU tar unpacks to the same: modes, times, links of both kinds, odd names', async () => {
    const odd = Buffer.from('odd\xff\n', 'latin1');
    const long = `${'d'.repeat(120)}/${'e'.repeat(120)}`;
    await mkdir(at(`from/${long}`), { recursive: true });
    await writeFile(at(`from/${long}/file`), 'deep');
    await writeFile(Buffer.concat([Buffer.from(at('from/')), odd]), 'odd');
    await writeFile(at('from/a'), 'one');
    await link(at('from/a'), at('from/z'));
    await symlink('../../etc/passwd', at('from/link'));
    await chmod(at('from/a'), 0o4751);
    await utimes(at('from/a'), 12, 12.5);
    const archive = await buffer(files.readTar('s', at('from'), 'root'));
    await untar(archive, at('to'));
    const status = await stat(at('to/root/a'));
    expect(status.mode & 0o7777).toBe(0o4751);
    expect(status.mtimeMs).toBe(12_500);
    expect((await stat(at('to/root/z'))).ino).toBe(status.ino);
    expect(await readlink(at('to/root/link'))).toBe('../../etc/passwd');
    expect(await readFile(at(`to/root/${long}/file`), 'utf8')).toBe('deep');
    expect(await readFile(Buffer.concat([Buffer.from(at('to/root/')), odd]), 'utf8')).toBe('odd');
  });

  it('unpacks what GNU tar makes: hard links, missing directories, sparse files', async () => {
    await mkdir(at('from/sub'), { recursive: true });
    await writeFile(at('from/sub/one'), 'one');
    await link(at('from/sub/one'), at('from/two'));
    await run('truncate', ['-s', '1M', at('from/holes')]);
    await writeFile(at('from/holes'), 'end', { flag: 'a' });
    const { stdout } = await run('tar', ['-cS', '-C', at('from'), 'sub/one', 'two', 'holes'], {
      encoding: 'buffer',
    });
    await mkdir(at('to'));
    expect(await files.writeTar('s', at('to/'), Readable.from([stdout]), { keepOwners: true })).toBe(3);
    expect(await readFile(at('to/two'), 'utf8')).toBe('one');
    expect((await lstat(at('to/two'))).ino).toBe((await lstat(at('to/sub/one'))).ino);
    expect((await readFile(at('to/holes'))).equals(await readFile(at('from/holes')))).toBe(true);
  });

  const hostile = async (...entries: Array<Partial<NewTarEntry>>): Promise<unknown> => {
    await mkdir(at('to'));
    const base = {
      path: 'x',
      kind: 'file',
      mode: 0o644,
      uid: 0,
      gid: 0,
      mtime: { seconds: 1, nanoseconds: 0 },
    } as const;
    const archive = [...entries.map((entry) => encodeTarEntry({ ...base, ...entry })), TAR_END];
    return files
      .writeTar('s', at('to'), Readable.from(archive), { keepOwners: false })
      .catch((error: unknown) => error);
  };

  it.each([
    ['a path with ..', [{ path: '../out' }]],
    ['a hard link to ..', [{ path: 'x', kind: 'hardlink', linkTarget: '../out' }]],
  ] as const)('refuses %s', async (_what, entries) => {
    expect(await hostile(...entries)).toMatchObject({ code: 'PATH_ESCAPES_ROOT' });
    await expect(lstat(at('out'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('refuses a hard link to what is no file', async () => {
    expect(
      await hostile({ path: 'd', kind: 'directory' }, { path: 'x', kind: 'hardlink', linkTarget: 'd' }),
    ).toMatchObject({ code: 'GUEST_FILE_INVALID' });
  });

  it('wants a directory to unpack into', async () => {
    await writeFile(at('file'), '');
    await expect(
      files.writeTar('s', at('file'), Readable.from([TAR_END]), { keepOwners: false }),
    ).rejects.toMatchObject({ code: 'GUEST_FILE_INVALID' });
    await expect(
      files.writeTar('s', at('none'), Readable.from([TAR_END]), { keepOwners: false }),
    ).rejects.toMatchObject({ code: 'GUEST_FILE_NOT_FOUND' });
  });

  it('lists up to a limit, in order, and says when there is more', async () => {
    await mkdir(at('d/b'), { recursive: true });
    await Promise.all(['a', 'b/x', 'c'].map((name) => writeFile(at(`d/${name}`), '')));
    const names = ({ entries }: { entries: ReadonlyArray<{ path: Uint8Array }> }): string[] =>
      entries.map((entry) => Buffer.from(entry.path).toString());
    const all = await files.list('s', at('d'), { recursive: true, maxEntries: 4 });
    expect([names(all), all.truncated]).toEqual([['a', 'b', 'b/x', 'c'], false]);
    const three = await files.list('s', at('d'), { recursive: true, maxEntries: 3 });
    expect(three).toMatchObject({ truncated: true, entries: { length: 3 } });
    const flat = await files.list('s', at('d'), { recursive: false, maxEntries: 2 });
    expect([names(flat), flat.truncated]).toEqual([['a', 'b'], true]);
  });
});
