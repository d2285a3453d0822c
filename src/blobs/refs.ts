/**
 * Names of descriptors: the entries of a layout's `index.json` with the annotation
 * `org.opencontainers.image.ref.name`. Source: image-spec v1.1.1, image-layout.md, "index.json file".
 */
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import { readFileBounded, withLock, writeFileAtomic } from '../fsx/index.js';
import {
  type Descriptor,
  encodeDescriptor,
  type ImageIndex,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPES,
  parseDocument,
} from '../oci/index.js';

const REF_NAME = 'org.opencontainers.image.ref.name';
const LOCK_TIMEOUT_MS = 60_000;

/** The name that an entry of `index.json` carries. */
export function refName(entry: Descriptor): string | undefined {
  return Object.hasOwn(entry.annotations, REF_NAME) ? entry.annotations[REF_NAME] : undefined;
}

/**
 * The entries of a layout's `index.json`; none when there is no such file.
 *
 * @throws {HearthError} `MANIFEST_INVALID`, `STORE_CORRUPT`.
 */
export async function readLayoutIndex(path: string): Promise<readonly Descriptor[]> {
  let bytes: Buffer;
  try {
    bytes = await readFileBounded(path, MAX_MANIFEST_BYTES);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw fileError(error, path);
  }
  const document = parseDocument(bytes, MEDIA_TYPES.ociIndex);
  return document.kind === 'index' ? document.index.manifests : [];
}

/** As {@link readLayoutIndex} for hearth's own store: a damaged file means that no name is known. */
export async function readOwnIndex(path: string): Promise<readonly Descriptor[]> {
  try {
    return await readLayoutIndex(path);
  } catch (error) {
    // The names can be learnt again from the registry; refusing to work would help nobody.
    if (HearthError.is(error) && error.kind === 'integrity') return [];
    throw error;
  }
}

export async function findRef(path: string, name: string): Promise<Descriptor | undefined> {
  return (await readOwnIndex(path)).findLast((entry) => refName(entry) === name);
}

export interface RefPaths {
  readonly index: string;
  readonly indexLock: string;
}

/** Replaces the entries by what `change` makes of them; readers see all old ones or all new ones. */
export async function changeRefs(
  paths: RefPaths,
  change: (entries: readonly Descriptor[]) => readonly Descriptor[],
): Promise<void> {
  await withLock(
    paths.indexLock,
    async () => {
      const before = await readOwnIndex(paths.index);
      const after = change(before);
      const index: ImageIndex = { mediaType: MEDIA_TYPES.ociIndex, manifests: after, annotations: {} };
      await writeFileAtomic(paths.index, encodeIndex(index));
    },
    { timeoutMs: LOCK_TIMEOUT_MS },
  );
}

/** Binds `name` to `descriptor`; writes nothing when it is bound to it already. */
export async function setRef(paths: RefPaths, name: string, descriptor: Descriptor): Promise<void> {
  const bound = await findRef(paths.index, name);
  if (bound?.digest === descriptor.digest && bound.sizeBytes === descriptor.sizeBytes) return;
  const named: Descriptor = { ...descriptor, annotations: { [REF_NAME]: name } };
  await changeRefs(paths, (entries) => [...entries.filter((entry) => refName(entry) !== name), named]);
}

function encodeIndex(index: ImageIndex): string {
  const { mediaType, manifests } = index;
  return `${JSON.stringify({ schemaVersion: 2, mediaType, manifests: manifests.map(encodeDescriptor) })}\n`;
}
