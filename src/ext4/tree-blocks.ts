/** How many blocks of its own a tree needs beside file data, and what has to be known before they are placed. */
import { createHash } from 'node:crypto';
import { HearthError } from '../errors/index.js';
import { allEntriesBytes, ENTRY_SPACE_BYTES } from './directory.js';
import { extentTreeBlocks } from './extents.js';
import { MAX_FAST_SYMLINK_BYTES, MAX_SYMLINK_BYTES } from './format.js';
import { type HashTree, planHashTree } from './htree.js';
import type { Ext4Node } from './node.js';
import type { NumberedTree } from './tree.js';
import { encodeXattrs, MAX_XATTR_BLOCK_REFERENCES } from './xattrs.js';

const MAX_UINT32 = 2 ** 32 - 1;
const MAX_MODE = 0o7777;
const MAX_MAJOR = 4095;
const MAX_MINOR = 2 ** 20 - 1;
const MAX_NANOSECONDS = 999_999_999;

export interface TreeBlocks {
  /** By inode: the index of each directory that does not fit into one block. */
  readonly hashTrees: ReadonlyMap<number, HashTree>;
  /** By inode: which xattr block it refers to; inodes with equal ones share. */
  readonly xattrBlocks: ReadonlyMap<number, number>;
  /** By xattr block: inodes that refer to it. */
  readonly xattrReferences: readonly number[];
  readonly blockCount: number;
}

class XattrBlocks {
  readonly byInode = new Map<number, number>();
  readonly references: number[] = [];
  readonly #byDigest = new Map<string, number>();

  add(inode: number, block: Uint8Array): void {
    // The blocks themselves would fill the memory when every file has its own.
    const digest = createHash('sha256').update(block).digest('base64');
    let index = this.#byDigest.get(digest);
    if (index === undefined || (this.references[index] ?? 0) === MAX_XATTR_BLOCK_REFERENCES) {
      index = this.references.length;
      this.references.push(0);
      this.#byDigest.set(digest, index);
    }
    this.references[index] = (this.references[index] ?? 0) + 1;
    this.byInode.set(inode, index);
  }
}

/**
 * Checks every node and counts the blocks of directories, long symlinks, extent trees and xattrs.
 *
 * @throws {HearthError} `SYMLINK_TOO_LONG`, `XATTR_TOO_LARGE`, `XATTR_UNSUPPORTED`, `ENTRIES_TOO_MANY`;
 *   `INTERNAL` for fields out of range.
 */
export function measureTree(tree: NumberedTree, hashState: Int32Array): TreeBlocks {
  const hashTrees = new Map<number, HashTree>();
  const xattrBlocks = new XattrBlocks();
  let blockCount = 0;
  for (let inode = 0; inode <= tree.lastInode; inode++) {
    const node = tree.nodes[inode];
    if (node === undefined) continue;
    const path = (): string => tree.pathOf(inode);
    assertFields(node, path);
    if (node.xattrs !== undefined && node.xattrs.size > 0) {
      const { block } = encodeXattrs(node.xattrs, path);
      if (block !== undefined) xattrBlocks.add(inode, block);
    }
    if (node.kind === 'file') blockCount += extentTreeBlocks(node.data.extents);
    else if (node.kind === 'symlink') blockCount += symlinkBlocks(node.target, path);
    else if (node.kind === 'directory') {
      const names = tree.entries[inode]?.names ?? [];
      if (allEntriesBytes(names) <= ENTRY_SPACE_BYTES) blockCount += 1;
      else {
        const hashTree = planHashTree(names, hashState, path);
        hashTrees.set(inode, hashTree);
        blockCount += hashTree.blockCount + extentTreeBlocks([0, 0, hashTree.blockCount]);
      }
    }
  }
  return {
    hashTrees,
    xattrBlocks: xattrBlocks.byInode,
    xattrReferences: xattrBlocks.references,
    blockCount: blockCount + xattrBlocks.references.length,
  };
}

function symlinkBlocks(target: Uint8Array, path: () => string): number {
  if (target.byteLength <= MAX_FAST_SYMLINK_BYTES) return 0;
  if (target.byteLength <= MAX_SYMLINK_BYTES) return 1;
  throw new HearthError(
    'SYMLINK_TOO_LONG',
    `the target of ${path()} has ${target.byteLength} bytes, ext4 holds at most ${MAX_SYMLINK_BYTES}`,
    {
      hint: 'Rebuild the image with a shorter symbolic link.',
      details: { path: path(), targetBytes: target.byteLength, maximumBytes: MAX_SYMLINK_BYTES },
    },
  );
}

function isWhole(value: number, maximum: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= maximum;
}

/** What a wrong number would silently become on disk is a bug of the caller. */
function assertFields(node: Ext4Node, path: () => string): void {
  const valid =
    isWhole(node.mode, MAX_MODE) &&
    isWhole(node.uid, MAX_UINT32) &&
    isWhole(node.gid, MAX_UINT32) &&
    Number.isInteger(node.mtime.seconds) &&
    isWhole(node.mtime.nanoseconds, MAX_NANOSECONDS) &&
    (node.kind !== 'symlink' || (node.target.byteLength > 0 && !node.target.includes(0))) &&
    ((node.kind !== 'character' && node.kind !== 'block') ||
      (isWhole(node.major, MAX_MAJOR) && isWhole(node.minor, MAX_MINOR)));
  if (valid) return;
  throw new HearthError('INTERNAL', `${path()} has a field that no inode can hold`, {
    details: { path: path(), kind: node.kind, mode: node.mode, uid: node.uid, gid: node.gid },
  });
}
