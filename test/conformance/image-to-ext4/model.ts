/**
 * The rules of docs/layers.md in the plainest form there is, to compare the product with: layers are applied
 * base first to a flat map from real paths to inodes. Slow, and without any care for order of reading.
 */
import type { EntrySpec } from '../../rootfs/support/tar-builder.js';

export interface ModelInode {
  readonly kind: 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo';
  mode: number;
  uid: number;
  gid: number;
  mtime: number;
  readonly body: string;
  readonly target: string;
  readonly device: string;
}

/** Real path (`/a/b`) → inode; the root is `''`. Two names of one inode hold the same object. */
export type ModelTree = Map<string, ModelInode>;

/** What the model refuses, as the product's code. */
export class ModelFailure extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

const KINDS: Readonly<Record<string, ModelInode['kind']>> = {
  '0': 'file',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

export function mergeByModel(layers: ReadonlyArray<readonly EntrySpec[]>): ModelTree {
  const tree: ModelTree = new Map([['', implied()]]);
  for (const [index, layer] of layers.entries()) {
    if (index > 0) applyWhiteouts(tree, layer);
    for (const spec of layer) if (!isWhiteout(spec)) applyEntry(tree, spec);
  }
  return tree;
}

function applyWhiteouts(tree: ModelTree, layer: readonly EntrySpec[]): void {
  const doomed: string[] = [];
  for (const spec of layer.filter(isWhiteout)) {
    const parts = clean(spec.path);
    const name = parts.pop() ?? '';
    const directory = resolve(tree, parts, (literal) => hasOwnDirectory(layer, literal));
    if (directory === undefined || tree.get(directory)?.kind !== 'directory') continue;
    if (name === '.wh..wh..opq') doomed.push(...below(tree, directory));
    else doomed.push(`${directory}/${name.slice(4)}`, ...below(tree, `${directory}/${name.slice(4)}`));
  }
  for (const path of doomed) tree.delete(path);
}

function applyEntry(tree: ModelTree, spec: EntrySpec): void {
  const parts = clean(spec.path);
  const kind = spec.type === '1' ? undefined : KINDS[spec.type ?? '0'];
  if (parts.length === 0) {
    if (kind !== 'directory') throw new ModelFailure('PATH_ESCAPES_ROOT');
    tree.set('', { ...inodeOf(spec, kind) });
    return;
  }
  const node = kind === undefined ? linkTarget(tree, spec) : inodeOf(spec, kind);
  const parent = resolve(tree, parts.slice(0, -1)) ?? '';
  makeDirectories(tree, parent);
  const path = `${parent}/${parts.at(-1)}`;
  const existing = tree.get(path);
  if (existing === node) return;
  if (!(existing?.kind === 'directory' && node.kind === 'directory')) {
    for (const lower of below(tree, path)) tree.delete(lower);
  }
  tree.set(path, node);
}

function linkTarget(tree: ModelTree, spec: EntrySpec): ModelInode {
  const parts = clean(spec.linkTarget ?? '');
  const node =
    parts.length === 0 ? tree.get('') : tree.get(`${resolve(tree, parts.slice(0, -1))}/${parts.at(-1)}`);
  if (node === undefined) throw new ModelFailure('HARDLINK_TARGET_MISSING');
  if (node.kind === 'directory') throw new ModelFailure('HARDLINK_TARGET_INVALID');
  return node;
}

/** The real path that `parts` lead to when links are followed, whether or not something is there. */
function resolve(
  tree: ModelTree,
  parts: readonly string[],
  stopsAt?: (literal: string) => boolean,
): string | undefined {
  let real: string[] = [];
  let links = 0;
  const walk = (todo: readonly string[], literal: string[] | undefined): boolean => {
    for (const [i, part] of todo.entries()) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        real.pop();
        continue;
      }
      real.push(part);
      const inode = tree.get(`/${real.join('/')}`);
      if (inode?.kind !== 'symlink') continue;
      if (literal !== undefined && stopsAt?.(literal.slice(0, i + 1).join('/'))) return false;
      links += 1;
      if (links > 255) throw new ModelFailure('SYMLINK_LOOP');
      if (inode.target.startsWith('/')) real = [];
      else real.pop();
      if (!walk(inode.target.split('/'), undefined)) return false;
    }
    return true;
  };
  if (!walk(parts, [...parts])) return undefined;
  return real.map((part) => `/${part}`).join('');
}

/** Every missing or non-directory part of a real path becomes a directory. */
function makeDirectories(tree: ModelTree, path: string): void {
  const parts = path.split('/').slice(1);
  for (let i = 1; i <= parts.length; i += 1) {
    const at = `/${parts.slice(0, i).join('/')}`;
    if (tree.get(at)?.kind !== 'directory') tree.set(at, implied());
  }
}

function below(tree: ModelTree, path: string): string[] {
  return [...tree.keys()].filter((key) => key.startsWith(`${path}/`));
}

function isWhiteout(spec: EntrySpec): boolean {
  return (clean(spec.path).at(-1) ?? '').startsWith('.wh.');
}

function hasOwnDirectory(layer: readonly EntrySpec[], literal: string): boolean {
  const last = layer.filter((spec) => !isWhiteout(spec) && clean(spec.path).join('/') === literal).at(-1);
  return last?.type === '5';
}

function clean(path: string): string[] {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts;
}

function implied(): ModelInode {
  return { kind: 'directory', mode: 0o755, uid: 0, gid: 0, mtime: 0, body: '', target: '', device: '' };
}

function inodeOf(spec: EntrySpec, kind: ModelInode['kind']): ModelInode {
  const isDevice = kind === 'character' || kind === 'block';
  return {
    kind,
    mode: kind === 'symlink' ? 0o777 : (spec.mode ?? 0o644),
    uid: spec.uid ?? 0,
    gid: spec.gid ?? 0,
    mtime: spec.mtime ?? 0,
    body: kind === 'file' ? Buffer.from(spec.body ?? '').toString('latin1') : '',
    target: kind === 'symlink' ? (spec.linkTarget ?? '') : '',
    device: isDevice ? `${spec.major ?? 0},${spec.minor ?? 0}` : '',
  };
}

/** Lines that two trees share exactly when they are the same: names, attributes, and who is linked to whom. */
export function describeModel(tree: ModelTree): string[] {
  const numbers = new Map<ModelInode, number>();
  return [...tree]
    .map(([path, inode]) => ({ path, inode }))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ path, inode }) => {
      if (!numbers.has(inode)) numbers.set(inode, numbers.size);
      return describeInode(path, inode, inode.kind === 'directory' ? 0 : (numbers.get(inode) ?? 0));
    });
}

/** @param identity Equal for names of one inode; counted in the order of paths. */
export function describeInode(path: string, inode: ModelInode, identity: number): string {
  const { kind, mode, uid, gid, mtime, body, target, device } = inode;
  return [
    path,
    kind,
    mode.toString(8),
    uid,
    gid,
    mtime,
    JSON.stringify(body + target + device),
    identity,
  ].join(' ');
}
