/** Directory trees against the real agent as an ordinary process. */
import { randomBytes } from 'node:crypto';
import {
  chmod,
  link,
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
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { NewTreeItem } from '../../src/agent/index.js';
import { AGENTS, buildAgents, execute, type LocalAgent, startLocalAgent, until } from '../support/agent.js';

beforeAll(buildAgents);

describe.each(AGENTS)('%s', (_name, path) => {
  let agent: LocalAgent;
  let directory: string;
  const at = (name: string): string => join(directory, name);
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hearth-files-'));
    agent = await startLocalAgent({ path });
  });
  afterEach(async () => {
    await agent.close();
    await rm(directory, { recursive: true });
  });

  describe('trees', () => {
    async function collectTree(
      path: string,
    ): Promise<Map<string, { kind: string; content: string; target: string }>> {
      const found = new Map<string, { kind: string; content: string; target: string }>();
      for await (const { entry, content } of agent.client.files.readTree(path)) {
        const chunks: Uint8Array[] = [];
        for await (const chunk of content) chunks.push(chunk);
        found.set(Buffer.from(entry.path).toString(), {
          kind: entry.kind,
          content: Buffer.concat(chunks).toString('latin1'),
          target: Buffer.from(entry.target).toString(),
        });
      }
      return found;
    }

    it('come and go with everything in them', async () => {
      const big = randomBytes(700_000).toString('latin1');
      await mkdir(at('from/sub/deep'), { recursive: true });
      await writeFile(at('from/empty'), '');
      await writeFile(at('from/sub/big'), big, 'latin1');
      await symlink('sub/big', at('from/link'));
      await link(at('from/sub/big'), at('from/sub/deep/again'));
      await execute(agent.client, { argv: ['mkfifo', at('from/fifo')] });
      await chmod(at('from/sub'), 0o711);
      const tree = await collectTree(at('from'));
      expect([...tree.keys()].sort()).toEqual([
        '',
        'empty',
        'fifo',
        'link',
        'sub',
        'sub/big',
        'sub/deep',
        'sub/deep/again',
      ]);
      expect(tree.get('sub/big')).toEqual({ kind: 'file', content: big, target: '' });
      expect(tree.get('link')).toEqual({ kind: 'symlink', content: '', target: 'sub/big' });

      async function* copy(): AsyncGenerator<NewTreeItem> {
        for await (const { entry, content } of agent.client.files.readTree(at('from'))) {
          if (entry.kind !== 'socket') yield { entry: { ...entry, kind: entry.kind }, content };
        }
      }
      expect(await agent.client.files.writeTree(at('to'), copy(), { keepOwners: true })).toBe(8);
      expect(await collectTree(at('to'))).toEqual(tree);
      expect((await stat(at('to/sub'))).mode & 0o777).toBe(0o711);
      for (const name of ['', 'sub', 'sub/deep', 'empty', 'link']) {
        expect((await lstat(at(`to/${name}`))).mtimeMs).toBe((await lstat(at(`from/${name}`))).mtimeMs);
      }
    });

    it('may be one file, or nothing', async () => {
      await writeFile(at('file'), 'x');
      expect([...(await collectTree(at('file'))).entries()]).toEqual([
        ['', { kind: 'file', content: 'x', target: '' }],
      ]);
      await expect(collectTree(at('none'))).rejects.toMatchObject({ code: 'GUEST_FILE_NOT_FOUND' });
    });

    it('may be left early and unread, and the channel goes on', async () => {
      await writeFile(at('a'), Buffer.alloc(3_000_000));
      await writeFile(at('b'), Buffer.alloc(10));
      for await (const { entry } of agent.client.files.readTree(directory)) if (entry.kind === 'file') break;
      let names = 0;
      for await (const _item of agent.client.files.readTree(directory)) names += 1;
      expect(names).toBe(3);
    });

    it('can be listed without contents', async () => {
      await writeFile(at('file'), 'xyz');
      const sizes: number[] = [];
      for await (const { entry, content } of agent.client.files.readTree(directory, { contents: false })) {
        if (entry.kind !== 'file') continue;
        sizes.push(entry.sizeBytes);
        for await (const _chunk of content) sizes.push(-1);
      }
      expect(sizes).toEqual([3]);
    });

    it.each(['../outside', '/absolute', 'a/../../b', '..'])('are not written to %s', async (path) => {
      const items: NewTreeItem[] = [{ entry: { path, kind: 'fifo', mode: 0o600 } }];
      await expect(agent.client.files.writeTree(directory, items)).rejects.toMatchObject({
        code: 'GUEST_FILE_INVALID',
      });
    });

    it('replace a link by the file of its name, not the file it points to', async () => {
      await writeFile(at('victim'), 'safe');
      await mkdir(at('to'));
      await symlink('../victim', at('to/name'));
      const content = (async function* () {
        yield Buffer.from('new');
      })();
      await agent.client.files.writeTree(at('to'), [
        { entry: { path: 'name', kind: 'file', mode: 0o644, sizeBytes: 3 }, content },
      ]);
      expect(await readFile(at('victim'), 'utf8')).toBe('safe');
      expect(await readFile(at('to/name'), 'utf8')).toBe('new');
      await expect(readlink(at('to/name'))).rejects.toThrow();
    });

    it('are given up when a file has another size than it said', async () => {
      const content = (async function* () {
        yield Buffer.from('four');
      })();
      const items = [{ entry: { path: 'f', kind: 'file', mode: 0o644, sizeBytes: 5 } as const, content }];
      await expect(agent.client.files.writeTree(directory, items)).rejects.toMatchObject({
        code: 'SIZE_MISMATCH',
      });
      await agent.client.ping();
      await until(async () => (await readdir(directory)).length === 0, 'everything to be removed');
    });
  });
});
