/** `snapshot.json` of a boot snapshot: what it was made of, and what its files are. */
import { createHash } from 'node:crypto';
import { open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KIB, MIB } from '../../bytes/index.js';
import type { HearthPaths } from '../../fsx/index.js';
import { finite, objectOf, oneOf, type Shaped, text, truth, whole } from '../../shape/index.js';

/** Another number for another layout of the files, so that older ones are never read. */
export const BOOT_SCHEMA = 4;
export const BOOT_PREFIX = 'boot-';
export const BOOT_FILES = ['memory', 'state', 'disk'] as const;

export type BootFile = (typeof BOOT_FILES)[number];

const fileShape = objectOf({
  sizeBytes: whole(),
  mtimeMs: finite(),
  /** Of the pieces that are not zeros, with their places. */
  sha256: text(),
});

const recordShape = objectOf({
  schema: oneOf(BOOT_SCHEMA),
  environment: text(),
  rootfsPath: text(),
  diskFormat: oneOf('raw', 'qcow2'),
  createdAt: text(),
  limits: objectOf({
    cpus: whole(),
    memoryMib: whole(),
    diskBytes: whole().nullable(),
    accelerator: oneOf('tcg', 'kvm'),
    networkDevice: truth(),
  }),
  parts: objectOf({
    rootfs: text(),
    kernel: text(),
    agent: text(),
    qemu: text(),
    machine: text(),
    processor: text(),
  }),
  files: objectOf({ memory: fileShape, state: fileShape, disk: fileShape }),
});

export type BootRecord = Shaped<typeof recordShape>;

export interface FoundBoot {
  readonly name: string;
  readonly directory: string;
  /** Undefined for one that cannot be read, or was written by another version. */
  readonly record: BootRecord | undefined;
}

const RECORD_FILE = 'snapshot.json';
const CHUNK_BYTES = 4 * MIB;
const BLOCK_BYTES = 64 * KIB;

/** Where all snapshots are. */
export function snapshotsDirectory(paths: HearthPaths): string {
  return join(paths.data, 'snapshots');
}

/** Undefined when there is none, or none of this version. */
export async function readBootRecord(directory: string): Promise<BootRecord | undefined> {
  try {
    const reading = recordShape.read(JSON.parse(await readFile(join(directory, RECORD_FILE), 'utf8')));
    return reading.ok ? reading.value : undefined;
  } catch {
    return undefined;
  }
}

export async function writeBootRecord(
  directory: string,
  record: Omit<BootRecord, 'schema' | 'files'>,
): Promise<void> {
  const files = await Promise.all(
    BOOT_FILES.map(async (name) => {
      const path = join(directory, name);
      const { size: sizeBytes, mtimeMs } = await stat(path);
      return [name, { sizeBytes, mtimeMs, sha256: await sparseDigest(path) }] as const;
    }),
  );
  const whole = { schema: BOOT_SCHEMA, ...record, files: Object.fromEntries(files) };
  await writeFile(join(directory, RECORD_FILE), `${JSON.stringify(whole, null, 2)}\n`, { mode: 0o600 });
}

/** Every boot snapshot, readable or not, by name. */
export async function listBootSnapshots(paths: HearthPaths): Promise<FoundBoot[]> {
  const root = snapshotsDirectory(paths);
  const names = await readdir(root).catch(() => []);
  return await Promise.all(
    names
      .filter((name) => name.startsWith(BOOT_PREFIX))
      .sort()
      .map(async (name) => {
        const directory = join(root, name);
        return { name, directory, record: await readBootRecord(directory) };
      }),
  );
}

/**
 * The files that are not as they were written. A file of the recorded size and time is believed, one of another
 * time hashed; with `full`, all are.
 */
export async function damagedFiles(
  directory: string,
  record: BootRecord,
  { full = false }: { readonly full?: boolean } = {},
): Promise<BootFile[]> {
  const checked = await Promise.all(
    BOOT_FILES.map(async (name) => {
      const recorded = record.files[name];
      const path = join(directory, name);
      const found = await stat(path).catch(() => undefined);
      if (found === undefined || found.size !== recorded.sizeBytes) return false;
      if (!full && found.mtimeMs === recorded.mtimeMs) return true;
      return (await sparseDigest(path)) === recorded.sha256;
    }),
  );
  return BOOT_FILES.filter((_name, index) => checked[index] !== true);
}

/** SHA-256 of a file that is mostly holes: of each piece that has other bytes than zeros, and where it is. Hex. */
async function sparseDigest(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const hash = createHash('sha256');
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const zeros = Buffer.alloc(BLOCK_BYTES);
    for (let offset = 0; ; ) {
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, offset);
      if (bytesRead === 0) return hash.digest('hex');
      for (let at = 0; at < bytesRead; at += BLOCK_BYTES) {
        const block = chunk.subarray(at, Math.min(at + BLOCK_BYTES, bytesRead));
        if (!block.equals(zeros.subarray(0, block.length))) hash.update(`${offset + at}\n`).update(block);
      }
      offset += bytesRead;
    }
  } finally {
    await file.close();
  }
}
