/**
 * The sandboxes of a user on disk: `<state>/sandboxes/<id>/` with `sandbox.json`, `disk`, `console.log` and the
 * sockets of the VM. A sandbox appears whole, by a rename, and disappears at once, by a rename.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import { type HearthPaths, readFileBounded, writeFileAtomic } from '../fsx/index.js';
import { type SandboxRecord, sandboxRecordSchema } from './sandbox-record.js';
import { SecretStore } from './secrets/secret-store.js';

const RECORD_FILE = 'sandbox.json';
const MAX_RECORD_BYTES = 1024 * 1024;
const ID_BYTES = 6;
const ID = /^[0-9a-f]{12}$/;
/** Directories that are being made or removed; whoever holds the store may remove them. */
const UNFINISHED = /^\.(?:new|old)-[0-9a-f]{12}$/;

export type StoredSandbox =
  | { readonly kind: 'record'; readonly record: SandboxRecord }
  /** A directory whose record cannot be understood. */
  | { readonly kind: 'damaged'; readonly id: string; readonly error: HearthError };

export function sandboxesDirectory(paths: HearthPaths): string {
  return join(paths.state, 'sandboxes');
}

export class SandboxStore {
  readonly root: string;
  readonly secrets: SecretStore;

  constructor(root: string) {
    this.root = root;
    this.secrets = new SecretStore(root);
  }

  directory(id: string): string {
    return join(this.root, id);
  }

  /**
   * Makes a sandbox: `fill` puts its files into a directory that nobody sees yet, and gives its record.
   * Nothing is left when it fails.
   */
  async create(fill: (directory: string, id: string) => Promise<SandboxRecord>): Promise<SandboxRecord> {
    const id = randomBytes(ID_BYTES).toString('hex');
    const staging = join(this.root, `.new-${id}`);
    try {
      await mkdir(this.root, { recursive: true, mode: 0o700 });
      await mkdir(staging, { mode: 0o700 });
      const record = await fill(staging, id);
      await writeFileAtomic(join(staging, RECORD_FILE), encode(record));
      await rename(staging, this.directory(id));
      return record;
    } catch (error) {
      await rm(staging, { recursive: true, force: true });
      await this.secrets.remove(id);
      throw fileError(error, staging);
    }
  }

  async write(record: SandboxRecord): Promise<void> {
    await writeFileAtomic(join(this.directory(record.id), RECORD_FILE), encode(record));
  }

  async list(): Promise<StoredSandbox[]> {
    const names = await this.#names();
    return await Promise.all(names.filter((name) => ID.test(name)).map((id) => this.#read(id)));
  }

  /** Removes the sandbox and everything of it. Idempotent. */
  async remove(id: string): Promise<void> {
    const doomed = join(this.root, `.old-${id}`);
    try {
      await rename(this.directory(id), doomed);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw fileError(error, this.directory(id));
    }
    await this.secrets.remove(id);
    await rm(doomed, { recursive: true, force: true });
  }

  /** Removes what a killed process was making or removing. Only for the one process that holds the store. */
  async sweep(): Promise<void> {
    const names = await this.#names();
    await Promise.all(
      names
        .filter((name) => UNFINISHED.test(name))
        .map((name) => rm(join(this.root, name), { recursive: true, force: true })),
    );
    await this.secrets.sweep((id) => names.includes(id));
  }

  async #names(): Promise<string[]> {
    try {
      return await readdir(this.root);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw fileError(error, this.root);
    }
  }

  async #read(id: string): Promise<StoredSandbox> {
    const path = join(this.directory(id), RECORD_FILE);
    try {
      const bytes = await readFileBounded(path, MAX_RECORD_BYTES);
      const record = sandboxRecordSchema.parse(JSON.parse(bytes.toString('utf8')));
      if (record.id !== id) throw new Error(`it is the record of ${record.id}`);
      return { kind: 'record', record };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return {
        kind: 'damaged',
        id,
        error: new HearthError(
          'SANDBOX_RECORD_INVALID',
          `the record of sandbox ${id} cannot be read: ${reason}`,
          {
            hint: `Remove it: hearth rm --force ${id}`,
            details: { id, path },
            cause: error,
          },
        ),
      };
    }
  }
}

/** Names of the sandboxes whose disks need what is in the environment's directory. */
export async function sandboxesUsing(
  paths: HearthPaths,
  environmentDirectory: string,
): Promise<readonly string[]> {
  const stored = await new SandboxStore(sandboxesDirectory(paths)).list();
  return stored.flatMap((entry) =>
    entry.kind === 'record' && entry.record.environment.directory === environmentDirectory
      ? [entry.record.name]
      : [],
  );
}

function encode(record: SandboxRecord): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}
