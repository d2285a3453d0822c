/**
 * The named snapshots of a user on disk: `data/snapshots/snap-<id>/` with `snapshot.json`, `disk`, and of a sandbox
 * that ran also `memory` and `state`. One appears whole, by a rename, and disappears by one.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fileError, HearthError } from '../../errors/index.js';
import { type HearthPaths, publishDirectory, readFileBounded, writeFileAtomic } from '../../fsx/index.js';
import { type SnapshotRecord, snapshotRecordSchema } from './snapshot-record.js';

const RECORD_FILE = 'snapshot.json';
const MAX_RECORD_BYTES = 256 * 1024;
const ID_BYTES = 6;
const ID = /^snap-[0-9a-f]{12}$/;
/** Being made or removed; whoever holds the sandboxes may remove them. */
const UNFINISHED = /^\.snap-[0-9a-f]{12}(?:\.old)?$/;
/** stat(2): `st_blocks` counts units of 512 bytes on every file system. */
const STAT_BLOCK_BYTES = 512;

export class SnapshotStore {
  readonly root: string;

  constructor(paths: HearthPaths) {
    this.root = join(paths.data, 'snapshots');
  }

  directory(id: string): string {
    return join(this.root, id);
  }

  /** Lets `use` work in a directory that nobody sees, gone afterwards. */
  async withScratch<T>(use: (directory: string, id: string) => Promise<T>): Promise<T> {
    const id = `snap-${randomBytes(ID_BYTES).toString('hex')}`;
    const scratch = join(this.root, `.${id}`);
    try {
      await mkdir(this.root, { recursive: true, mode: 0o700 });
      await mkdir(scratch, { mode: 0o700 });
      return await use(scratch, id);
    } catch (error) {
      throw fileError(error, scratch);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }

  /** Makes a snapshot: `fill` puts its files into the directory and gives its record. Nothing is left when it fails. */
  async create(fill: (directory: string, id: string) => Promise<SnapshotRecord>): Promise<SnapshotRecord> {
    return await this.withScratch(async (scratch, id) => {
      const record = await fill(scratch, id);
      await writeFileAtomic(join(scratch, RECORD_FILE), `${JSON.stringify(record, null, 2)}\n`);
      await publishDirectory(scratch, this.directory(id));
      return record;
    });
  }

  /** Oldest first. One whose record cannot be understood is left out: `cache df` still counts it. */
  async list(): Promise<SnapshotRecord[]> {
    const ids = (await this.#names()).filter((name) => ID.test(name));
    const records = await Promise.all(ids.map((id) => this.#read(id)));
    return records
      .filter((record) => record !== undefined)
      .sort((one, other) => one.createdAt.localeCompare(other.createdAt) || one.id.localeCompare(other.id));
  }

  /** Idempotent. */
  async remove(id: string): Promise<void> {
    const doomed = join(this.root, `.${id}.old`);
    try {
      await rename(this.directory(id), doomed);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw fileError(error, this.directory(id));
    }
    await rm(doomed, { recursive: true, force: true });
  }

  /** Removes what a killed process was making or removing, and snapshots whose sandbox is gone. */
  async sweep(hasSandbox: (id: string) => boolean): Promise<void> {
    const unfinished = (await this.#names()).filter((name) => UNFINISHED.test(name));
    await Promise.all(unfinished.map((name) => rm(join(this.root, name), { recursive: true, force: true })));
    const orphans = (await this.list()).filter(({ sandboxId }) => !hasSandbox(sandboxId));
    await Promise.all(orphans.map(({ id }) => this.remove(id)));
  }

  /** What the files of the snapshot take of the host's disk. */
  async allocatedBytes(id: string): Promise<number> {
    const directory = this.directory(id);
    const names = await readdir(directory).catch(() => []);
    const facts = await Promise.all(names.map((name) => stat(join(directory, name)).catch(() => undefined)));
    return facts.reduce((sum, file) => sum + (file?.blocks ?? 0) * STAT_BLOCK_BYTES, 0);
  }

  async #names(): Promise<string[]> {
    try {
      return await readdir(this.root);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw fileError(error, this.root);
    }
  }

  async #read(id: string): Promise<SnapshotRecord | undefined> {
    try {
      const bytes = await readFileBounded(join(this.directory(id), RECORD_FILE), MAX_RECORD_BYTES);
      const record = snapshotRecordSchema.parse(JSON.parse(bytes.toString('utf8')));
      return record.id === id ? record : undefined;
    } catch {
      return undefined;
    }
  }
}

export function snapshotNotFound(sandbox: string, name: string): HearthError {
  return new HearthError('SNAPSHOT_NOT_FOUND', `the sandbox ${sandbox} has no snapshot ${name}`, {
    hint: `Type \`hearth snapshot list ${sandbox}\` for those it has.`,
    details: { sandbox, name },
  });
}
