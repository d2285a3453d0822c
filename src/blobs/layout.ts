/**
 * The directories of a blob store: an OCI image layout plus `ingest/` for blobs being written.
 * Source: image-spec v1.1.1, image-layout.md.
 */
import { chmod, lstat, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import { readFileBounded, writeFileAtomic } from '../fsx/index.js';
import { type Digest, digestAlgorithm, digestHex } from '../oci/index.js';

export interface LayoutPaths {
  readonly root: string;
  /** Names (annotation `org.opencontainers.image.ref.name`) of descriptors. */
  readonly index: string;
  readonly indexLock: string;
  /** Held shared by whoever uses blobs, alone by the collector. */
  readonly leaseLock: string;
  readonly ingest: string;
  readonly blobs: string;
}

const LAYOUT_VERSION = '1.0.0';
const MAX_LAYOUT_FILE_BYTES = 4096;
const OTHERS_MAY_WRITE = 0o022;
const DIRECTORIES = ['blobs', 'blobs/sha256', 'blobs/sha512', 'ingest'];

export function layoutPaths(root: string): LayoutPaths {
  return {
    root,
    index: join(root, 'index.json'),
    indexLock: join(root, 'index.lock'),
    leaseLock: join(root, 'lease.lock'),
    ingest: join(root, 'ingest'),
    blobs: join(root, 'blobs'),
  };
}

/** Where a layout keeps a blob. */
export function blobPath(root: string, digest: Digest): string {
  return join(root, 'blobs', digestAlgorithm(digest), digestHex(digest));
}

/** A name that no two blobs share and that cannot be taken for a blob. */
export function ingestName(digest: Digest): string {
  return `${digestAlgorithm(digest)}-${digestHex(digest)}`;
}

/**
 * Creates the layout where it is missing and refuses one that others could change.
 *
 * @throws {HearthError} `STORE_INSECURE` when a directory of it is a link, another user's, or writable by others;
 *   `STORE_CORRUPT` when it is a layout of another version.
 */
export async function prepareLayout(paths: LayoutPaths): Promise<void> {
  try {
    await mkdir(dirname(paths.root), { recursive: true, mode: 0o700 });
    await ensureOwnDirectory(paths.root);
    for (const name of DIRECTORIES) await ensureOwnDirectory(join(paths.root, name));
  } catch (error) {
    throw fileError(error, paths.root);
  }
  await ensureLayoutVersion(join(paths.root, 'oci-layout'));
}

async function ensureOwnDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
    // An umask can only take bits away; a set-group-ID parent can add some.
    await chmod(path, 0o700);
    return;
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
  const found = await lstat(path);
  const ownUid = process.geteuid?.();
  const mode = `0${(found.mode & 0o7777).toString(8)}`;
  const problem = found.isSymbolicLink()
    ? 'it is a symbolic link'
    : !found.isDirectory()
      ? 'it is not a directory'
      : ownUid !== undefined && found.uid !== ownUid
        ? `it belongs to uid ${found.uid}, not ${ownUid}`
        : (found.mode & OTHERS_MAY_WRITE) !== 0
          ? `others may write to it (mode ${mode})`
          : undefined;
  if (problem === undefined) return;
  throw new HearthError('STORE_INSECURE', `the blob store ${path} is not safe to use: ${problem}`, {
    hint: `Run \`chmod 700 ${path}\` if the directory is yours, or set HEARTH_HOME to a directory of your own.`,
    details: { path, problem, mode, uid: found.uid },
  });
}

async function ensureLayoutVersion(path: string): Promise<void> {
  let text: string;
  try {
    text = (await readFileBounded(path, MAX_LAYOUT_FILE_BYTES)).toString('utf8');
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw fileError(error, path);
    return writeFileAtomic(path, JSON.stringify({ imageLayoutVersion: LAYOUT_VERSION }));
  }
  if (isLayoutFile(text)) return;
  throw new HearthError('STORE_CORRUPT', `${path} is not an OCI image layout ${LAYOUT_VERSION}`, {
    hint: `Move ${dirname(path)} away; hearth makes a new one.`,
    details: { path },
  });
}

/** True when the text of an `oci-layout` file states the version that this code knows. */
export function isLayoutFile(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return (
      typeof value === 'object' &&
      value !== null &&
      'imageLayoutVersion' in value &&
      value.imageLayoutVersion === LAYOUT_VERSION
    );
  } catch {
    return false;
  }
}
