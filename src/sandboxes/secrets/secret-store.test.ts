import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SecretStore } from './secret-store.js';

let base: string;
let own: string;
beforeEach(async () => {
  base = await mkdtemp('/dev/shm/hearth-test-');
  own = join(base, `hearth-${process.getuid?.()}`);
});
afterEach(() => rm(base, { recursive: true, force: true }));

const values = new Map([['TOKEN', 'swordfish\n']]);
const refused = expect.objectContaining({ code: 'SECRETS_UNAVAILABLE' });

describe('SecretStore', () => {
  it('gives back what was written, also to another process, to nobody else, and under no other key', async () => {
    await new SecretStore('/a', base).write('0123456789ab', values);
    expect(await new SecretStore('/a', base).read('0123456789ab')).toEqual(values);
    expect(await new SecretStore('/b', base).read('0123456789ab')).toEqual(new Map());
    expect(await new SecretStore('/a', base).read('ba9876543210')).toEqual(new Map());
    const [key = ''] = await readdir(own);
    const modes = [own, join(own, key), join(own, key, '0123456789ab')].map(
      async (path) => (await stat(path)).mode & 0o777,
    );
    expect(await Promise.all(modes)).toEqual([0o700, 0o700, 0o600]);
  });

  it('removes one, and those of sandboxes that are gone', async () => {
    const store = new SecretStore('/a', base);
    for (const id of ['aaaaaaaaaaaa', 'bbbbbbbbbbbb', 'cccccccccccc']) await store.write(id, values);
    await store.remove('aaaaaaaaaaaa');
    await store.remove('aaaaaaaaaaaa');
    await store.sweep((id) => id === 'cccccccccccc');
    const [key = ''] = await readdir(own);
    expect(await readdir(join(own, key))).toEqual(['cccccccccccc']);
  });

  it('is empty where the content is not its own', async () => {
    const store = new SecretStore('/a', base);
    await store.write('aaaaaaaaaaaa', values);
    const [key = ''] = await readdir(own);
    await writeFile(join(own, key, 'aaaaaaaaaaaa'), '{"../x":"y","A":1,"B":"good"}');
    expect(await store.read('aaaaaaaaaaaa')).toEqual(new Map([['B', 'good']]));
    await writeFile(join(own, key, 'aaaaaaaaaaaa'), '{');
    expect(await store.read('aaaaaaaaaaaa')).toEqual(new Map());
  });

  it('puts nothing where others can look, or where somebody else made a directory of its name', async () => {
    await mkdir(own);
    await chmod(own, 0o755);
    await expect(new SecretStore('/a', base).write('aaaaaaaaaaaa', values)).rejects.toThrow(refused);
    expect(await readdir(own)).toEqual([]);
    await rm(own, { recursive: true });
    await writeFile(own, '');
    await expect(new SecretStore('/a', base).write('aaaaaaaaaaaa', values)).rejects.toThrow(refused);
    expect(await readFile(own, 'utf8')).toBe('');
  });

  it('puts nothing into a file system that is not in memory', async () => {
    await expect(new SecretStore('/a', '/proc').write('aaaaaaaaaaaa', values)).rejects.toThrow(
      expect.objectContaining({ code: 'SECRETS_UNAVAILABLE', message: expect.stringContaining('in memory') }),
    );
  });
});
