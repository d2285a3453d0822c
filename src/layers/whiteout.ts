/**
 * Whiteouts: how a layer says "this path of the layers below is gone".
 *
 * Source: image-spec v1.1.1, layer.md, "Whiteouts"
 * https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#whiteouts
 * The rule against a bare `.wh.` is newer: image-spec commit b9060a3.
 *
 * Names in, classification out; `merge.ts` applies the result to a tree.
 */
import { HearthError } from '../errors/index.js';
import { displayName } from '../tar/index.js';

const WHITEOUT_PREFIX = '.wh.';
const OPAQUE_WHITEOUT = '.wh..wh..opq';

export type LayerEntryName =
  /** An ordinary entry: add or replace `path`. */
  | { readonly kind: 'entry'; readonly path: string }
  /** Hide `path`, and all below it, as the lower layers have it. */
  | { readonly kind: 'whiteout'; readonly path: string }
  /** Hide everything the lower layers have inside `directory`, not `directory` itself. */
  | { readonly kind: 'opaque'; readonly directory: string };

/**
 * Classifies one tar entry by its name alone.
 *
 * @param path Path inside the rootfs: relative, `/`-separated, already cleaned by `cleanEntryPath`.
 *   The rootfs itself is `''`.
 * @returns What the entry means to the layers below it, never to its own layer: a whiteout after an entry of
 *   the same layer does not hide that entry.
 * @throws {HearthError} `WHITEOUT_INVALID` for a bare `.wh.`, and for `.wh..` and `.wh...`, whose targets
 *   `.` and `..` would reach outside the named entry.
 */
export function classifyEntryName(path: string): LayerEntryName {
  const slash = path.lastIndexOf('/');
  if (!path.startsWith(WHITEOUT_PREFIX, slash + 1)) return { kind: 'entry', path };

  const directory = slash === -1 ? '' : path.slice(0, slash);
  const name = path.slice(slash + 1);
  if (name === OPAQUE_WHITEOUT) return { kind: 'opaque', directory };
  const target = name.slice(WHITEOUT_PREFIX.length);
  if (target === '' || target === '.' || target === '..') {
    const shown = displayName(path);
    throw new HearthError('WHITEOUT_INVALID', `not a valid whiteout name: ${JSON.stringify(shown)}`, {
      hint: 'The image is malformed; rebuild it with a current builder.',
      details: { path: shown },
    });
  }
  return { kind: 'whiteout', path: directory === '' ? target : `${directory}/${target}` };
}
