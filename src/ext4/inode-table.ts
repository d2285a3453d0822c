/** Writes all inodes, and in the blocks planned for it what they own beside file data. */
import { BlockSource } from './block-source.js';
import { fileSystemSeed, inodeSeed } from './checksum.js';
import { EntryWriter } from './directory.js';
import { type ExtentTreeTarget, extentBlocks, writeExtentTree } from './extents.js';
import {
  BLOCK_BYTES,
  ENTRY_TYPE,
  INODE_BYTES,
  INODE_FLAG,
  INODES_PER_BLOCK,
  JOURNAL_INODE,
  MAX_FAST_SYMLINK_BYTES,
  MAX_LINKS,
  MODE_TYPE,
  RESIZE_INODE,
} from './format.js';
import { DOUBLE_INDIRECT_INDEX, RESIZE_INODE_BYTES, resizeInodeBlocks, writeResizeMap } from './fronts.js';
import { writeHashTree } from './htree.js';
import type { BlockStage } from './image-file.js';
import {
  BLOCK_MAP_BYTES,
  BLOCK_MAP_OFFSET,
  finishInode,
  writeDeviceNumber,
  writeInodeFields,
  XATTR_OFFSET,
} from './inode.js';
import { writeJournalSuperblock } from './journal.js';
import type { Ext4Node, Timestamp } from './node.js';
import type { Plan } from './plan.js';
import type { NumberedTree } from './tree.js';
import type { TreeBlocks } from './tree-blocks.js';
import { encodeXattrs, finishXattrBlock } from './xattrs.js';

const PRIVATE_FILE = MODE_TYPE.file | 0o600;

export interface InodeTableInput {
  readonly tree: NumberedTree;
  readonly treeBlocks: TreeBlocks;
  readonly plan: Plan;
  readonly uuid: Uint8Array;
  readonly createdAt: Timestamp;
  /** For the inodes, and for what they own; two, because both are written in ascending order. */
  readonly inodeStage: BlockStage;
  readonly contentStage: BlockStage;
}

export interface InodeTableResult {
  /** By group. */
  readonly directories: Uint32Array;
  readonly journalMap: Uint8Array;
  readonly journalBytes: number;
  /** Planned blocks that nothing needed. */
  readonly unused: readonly number[];
}

/** Writes inodes 1 to the last one. */
export function writeInodeTable(input: InodeTableInput): InodeTableResult {
  const writer = new InodeTableWriter(input);
  for (let inode = 1; inode <= input.tree.lastInode; inode++) writer.write(inode);
  return writer.finish();
}

class InodeTableWriter {
  readonly #input: InodeTableInput;
  readonly #seed: number;
  readonly #blocks: BlockSource;
  readonly #directories: Uint32Array;
  /** By xattr block: where it lies, once it has been written. */
  readonly #xattrPlaces: number[] = [];
  #tableBlock = 0;
  #journalMap = new Uint8Array(BLOCK_MAP_BYTES);
  #journalBytes = 0;

  constructor(input: InodeTableInput) {
    this.#input = input;
    this.#seed = fileSystemSeed(input.uuid);
    this.#blocks = new BlockSource(input.plan.tree);
    this.#directories = new Uint32Array(input.plan.geometry.groupCount);
  }

  write(inode: number): void {
    const offset = this.#place(inode);
    const node = this.#input.tree.nodes[inode];
    if (node !== undefined) this.#writeNode(inode, node, offset);
    else if (inode === RESIZE_INODE) this.#writeResizeInode(offset);
    else if (inode === JOURNAL_INODE) this.#writeJournalInode(offset);
  }

  finish(): InodeTableResult {
    this.#input.inodeStage.flush();
    this.#input.contentStage.flush();
    return {
      directories: this.#directories,
      journalMap: this.#journalMap,
      journalBytes: this.#journalBytes,
      unused: this.#blocks.rest(),
    };
  }

  /** The inode's offset in its stage. */
  #place(inode: number): number {
    const { plan, inodeStage } = this.#input;
    const { inodesPerGroup } = plan.geometry;
    const index = (inode - 1) % inodesPerGroup;
    const slot = index % INODES_PER_BLOCK;
    if (slot === 0) {
      const group = Math.floor((inode - 1) / inodesPerGroup);
      this.#tableBlock = inodeStage.claim((plan.inodeTables[group] ?? 0) + index / INODES_PER_BLOCK);
    }
    return this.#tableBlock + slot * INODE_BYTES;
  }

  #writeNode(inode: number, node: Ext4Node, offset: number): void {
    const { view, bytes } = this.#input.inodeStage;
    const seed = inodeSeed(this.#seed, inode);
    let flags = 0;
    let sizeBytes = 0;
    let blockCount = 0;
    let links = this.#input.tree.links[inode] ?? 0;
    const mapExtents = (extents: readonly number[]): void => {
      flags |= INODE_FLAG.extents;
      blockCount += this.#writeExtents(extents, offset, seed);
    };

    switch (node.kind) {
      case 'file':
        sizeBytes = node.data.sizeBytes;
        mapExtents(node.data.extents);
        break;
      case 'directory': {
        const extents = this.#writeDirectory(inode, seed);
        sizeBytes = extentBlocks(extents) * BLOCK_BYTES;
        mapExtents(extents);
        if (this.#input.treeBlocks.hashTrees.has(inode)) flags |= INODE_FLAG.index;
        // dir_nlink: 1 stands for "too many to count".
        if (links > MAX_LINKS) links = 1;
        const group = Math.floor((inode - 1) / this.#input.plan.geometry.inodesPerGroup);
        this.#directories[group] = (this.#directories[group] ?? 0) + 1;
        break;
      }
      case 'symlink':
        sizeBytes = node.target.byteLength;
        if (sizeBytes <= MAX_FAST_SYMLINK_BYTES) bytes.set(node.target, offset + BLOCK_MAP_OFFSET);
        else {
          const block = this.#blocks.next();
          const { contentStage } = this.#input;
          const start = contentStage.claim(block);
          contentStage.bytes.set(node.target, start);
          mapExtents([0, block, 1]);
        }
        break;
      case 'character':
      case 'block':
        writeDeviceNumber(view, offset, node.major, node.minor);
        break;
      case 'fifo':
      case 'socket':
        break;
    }

    const xattrBlock = this.#writeXattrs(inode, node, offset);
    if (xattrBlock > 0) blockCount += 1;
    const { uid, gid, mtime } = node;
    const mode = MODE_TYPE[node.kind] | node.mode;
    writeInodeFields(view, offset, {
      mode,
      uid,
      gid,
      sizeBytes,
      mtime,
      links,
      blockCount,
      flags,
      xattrBlock,
    });
    finishInode(bytes, view, offset, seed);
  }

  /** Returns the blocks that the extents and their tree have. */
  #writeExtents(extents: readonly number[], offset: number, seed: number): number {
    const { inodeStage, contentStage } = this.#input;
    let treeBlocks = 0;
    const target: ExtentTreeTarget = {
      view: inodeStage.view,
      offset: offset + BLOCK_MAP_OFFSET,
      stage: contentStage,
      nextBlock: () => {
        treeBlocks += 1;
        return this.#blocks.next();
      },
      seed,
    };
    writeExtentTree(extents, target);
    return extentBlocks(extents) + treeBlocks;
  }

  #writeDirectory(inode: number, seed: number): number[] {
    const { tree, treeBlocks, contentStage } = this.#input;
    const entries = tree.entries[inode];
    const names = entries?.names ?? [];
    const parentInode = tree.parents[inode] ?? 0;
    const extents: number[] = [];
    let fileBlock = 0;
    const nextBlock = (): number => {
      const block = this.#blocks.next();
      const last = extents.length - 3;
      const count = extents[last + 2] ?? 0;
      if (last >= 0 && (extents[last + 1] ?? 0) + count === block) extents[last + 2] = count + 1;
      else extents.push(fileBlock, block, 1);
      fileBlock += 1;
      return block;
    };
    const addEntry = (writer: EntryWriter, index: number): void => {
      const child = entries?.inodes[index] ?? 0;
      writer.add(child, ENTRY_TYPE[tree.nodes[child]?.kind ?? 'directory'], names[index] ?? '');
    };

    const hashTree = treeBlocks.hashTrees.get(inode);
    if (hashTree !== undefined) {
      writeHashTree(hashTree, { stage: contentStage, nextBlock, seed, inode, parentInode, addEntry });
    } else {
      const writer = new EntryWriter(contentStage, contentStage.claim(nextBlock()));
      writer.add(inode, ENTRY_TYPE.directory, '.');
      writer.add(parentInode, ENTRY_TYPE.directory, '..');
      for (let i = 0; i < names.length; i++) addEntry(writer, i);
      writer.finish(seed);
    }
    return extents;
  }

  /** Returns the block of xattrs, or 0. */
  #writeXattrs(inode: number, node: Ext4Node, offset: number): number {
    if (node.xattrs === undefined || node.xattrs.size === 0) return 0;
    const { treeBlocks, inodeStage, contentStage } = this.#input;
    const { inInode, block } = encodeXattrs(node.xattrs, () => this.#input.tree.pathOf(inode));
    if (inInode !== undefined) inodeStage.bytes.set(inInode, offset + XATTR_OFFSET);
    const index = treeBlocks.xattrBlocks.get(inode);
    if (block === undefined || index === undefined) return 0;
    const known = this.#xattrPlaces[index];
    if (known !== undefined) return known;
    const blockNumber = this.#blocks.next();
    const references = treeBlocks.xattrReferences[index] ?? 0;
    finishXattrBlock(block, { seed: this.#seed, blockNumber, references });
    const start = contentStage.claim(blockNumber);
    contentStage.bytes.set(block, start);
    this.#xattrPlaces[index] = blockNumber;
    return blockNumber;
  }

  #writeResizeInode(offset: number): void {
    const { plan, createdAt, inodeStage, contentStage } = this.#input;
    const { view, bytes } = inodeStage;
    if (plan.geometry.reservedDescriptorBlocks === 0) return;
    const block = this.#blocks.next();
    writeResizeMap(contentStage, block, plan.geometry);
    view.setUint32(offset + BLOCK_MAP_OFFSET + DOUBLE_INDIRECT_INDEX * 4, block, true);
    writeInodeFields(view, offset, {
      mode: PRIVATE_FILE,
      uid: 0,
      gid: 0,
      sizeBytes: RESIZE_INODE_BYTES,
      mtime: createdAt,
      links: 1,
      blockCount: resizeInodeBlocks(plan.geometry),
      flags: 0,
      xattrBlock: 0,
    });
    finishInode(bytes, view, offset, inodeSeed(this.#seed, RESIZE_INODE));
  }

  #writeJournalInode(offset: number): void {
    const { plan, createdAt, inodeStage, contentStage } = this.#input;
    const { view, bytes } = inodeStage;
    const extents: number[] = [];
    let journalBlocks = 0;
    for (let i = 0; i < plan.journal.length; i += 2) {
      const count = plan.journal[i + 1] ?? 0;
      extents.push(journalBlocks, plan.journal[i] ?? 0, count);
      journalBlocks += count;
    }
    const start = contentStage.claim(plan.journal[0] ?? 0);
    writeJournalSuperblock(contentStage, start, { blockCount: journalBlocks, uuid: this.#input.uuid });
    const seed = inodeSeed(this.#seed, JOURNAL_INODE);
    const blockCount = this.#writeExtents(extents, offset, seed);
    this.#journalBytes = journalBlocks * BLOCK_BYTES;
    writeInodeFields(view, offset, {
      mode: PRIVATE_FILE,
      uid: 0,
      gid: 0,
      sizeBytes: this.#journalBytes,
      mtime: createdAt,
      links: 1,
      blockCount,
      flags: INODE_FLAG.extents,
      xattrBlock: 0,
    });
    finishInode(bytes, view, offset, seed);
    const map = offset + BLOCK_MAP_OFFSET;
    this.#journalMap = bytes.slice(map, map + BLOCK_MAP_BYTES);
  }
}
