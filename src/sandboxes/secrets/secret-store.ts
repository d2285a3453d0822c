/**
 * The secrets of sandboxes that are kept, in memory that survives the daemon and no restart of the host: one file of
 * mode 0600 for each sandbox, in a directory of the user's own below /dev/shm. Nothing of them is ever on a disk.
 */
import { createHash } from 'node:crypto';
import { lstat, mkdir, open, readdir, rename, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { errnoOf, HearthError } from '../../errors/index.js';
import { readFileBounded } from '../../fsx/index.js';
import { isSecretName } from './secret.js';

const SHARED_MEMORY = '/dev/shm';
/** statfs(2): TMPFS_MAGIC, RAMFS_MAGIC. */
const IN_MEMORY = [0x01021994, 0x858458f6];
const MAX_FILE_BYTES = 64 * 1024 * 1024;
const KEY_CHARS = 16;
const MODE_BITS = 0o777;

export class SecretStore {
  readonly #parent: string;
  readonly #directory: string;
  readonly #base: string;

  /**
   * @param key Stands for the sandboxes that these are the secrets of: the path of their directory.
   * @param base A file system in memory. Default /dev/shm.
   */
  constructor(key: string, base = SHARED_MEMORY) {
    this.#base = base;
    this.#parent = join(base, `hearth-${process.getuid?.() ?? 0}`);
    this.#directory = join(this.#parent, createHash('sha256').update(key).digest('hex').slice(0, KEY_CHARS));
  }

  /** What is there; nothing when there is none, or when the host was started again since. */
  async read(id: string): Promise<Map<string, string>> {
    try {
      await assertOwn(this.#parent);
      const text = (await readFileBounded(this.#path(id), MAX_FILE_BYTES)).toString('utf8');
      const pairs = Object.entries(JSON.parse(text) as Record<string, unknown>);
      return new Map(
        pairs.filter(
          (pair): pair is [string, string] => isSecretName(pair[0]) && typeof pair[1] === 'string',
        ),
      );
    } catch {
      return new Map();
    }
  }

  /** Replaces all of the sandbox's. @throws {HearthError} `SECRETS_UNAVAILABLE`. */
  async write(id: string, values: ReadonlyMap<string, string>): Promise<void> {
    try {
      const { type } = await statfs(this.#base);
      if (!IN_MEMORY.includes(type)) throw new Error('it is not a file system in memory');
      await mkdir(this.#parent, { recursive: true, mode: 0o700 });
      await assertOwn(this.#parent);
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      const temporary = `${this.#path(id)}.new`;
      await rm(temporary, { force: true });
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(JSON.stringify(Object.fromEntries(values)));
      } finally {
        await file.close();
      }
      await rename(temporary, this.#path(id));
    } catch (error) {
      const reason = errnoOf(error) ?? (error instanceof Error ? error.message : String(error));
      throw new HearthError('SECRETS_UNAVAILABLE', `secrets cannot be kept in ${this.#parent}: ${reason}`, {
        hint: `Make ${this.#base} a tmpfs, and ${this.#parent} a directory that only you can open.`,
        details: { directory: this.#parent, reason },
      });
    }
  }

  /** Idempotent. */
  async remove(id: string): Promise<void> {
    await rm(this.#path(id), { force: true });
    await rm(`${this.#path(id)}.new`, { force: true });
  }

  /** Removes those of sandboxes that are gone. Only for the one process that holds the sandboxes. */
  async sweep(hasSandbox: (id: string) => boolean): Promise<void> {
    const names = await readdir(this.#directory).catch(() => []);
    await Promise.all(
      names
        .filter((name) => !hasSandbox(name))
        .map((name) => rm(join(this.#directory, name), { force: true })),
    );
  }

  #path(id: string): string {
    return join(this.#directory, id);
  }
}

/** Others can write in /dev/shm, too: what they put where ours is to be must not get our secrets. */
async function assertOwn(path: string): Promise<void> {
  const stats = await lstat(path);
  const isOwn = stats.isDirectory() && stats.uid === process.getuid?.() && (stats.mode & MODE_BITS) === 0o700;
  if (!isOwn) throw new Error('somebody else made it');
}
