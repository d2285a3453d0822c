/**
 * What a journal still has to say after its VM was killed: which blocks have their newest content in it. Nothing
 * is written; the blocks are read from there.
 *
 * As the kernel does, in three passes: how far complete transactions go, which blocks they took back, and what is
 * left. Source: Linux 6.12, Documentation/filesystems/ext4/journal.rst; all numbers big-endian.
 */
import type { BlockStore, JournalBlock } from './block-store.js';
import { JOURNAL_MAGIC } from './block-store.js';
import { damaged, unsupported } from './problem.js';
import type { BlockRun } from './read-extents.js';

const BLOCK = { descriptor: 1, commit: 2, superblock1: 3, superblock2: 4, revoke: 5 } as const;
const FEATURE = { revoke: 1, is64Bit: 2, asyncCommit: 4, checksum2: 8, checksum3: 0x10 } as const;
const KNOWN_FEATURES = Object.values(FEATURE).reduce((all, bit) => all | bit, 0);
const TAG = { escaped: 1, sameUuid: 2, last: 8 } as const;
const HEADER_BYTES = 12;
const UUID_BYTES = 16;
/** 16 GiB of journal; the largest that mke2fs makes has a sixteenth of that. */
const MAX_JOURNAL_BLOCKS = 4 * 1024 * 1024;

interface Journal {
  readonly blocks: BlockStore;
  readonly runs: readonly BlockRun[];
  readonly firstBlock: number;
  readonly blockCount: number;
  readonly start: number;
  readonly sequence: number;
  readonly is64Bit: boolean;
  readonly tagBytes: number;
  readonly hasTail: boolean;
}

interface Tag {
  readonly block: number;
  readonly flags: number;
}

/** One block of the log that is not content. */
interface Step {
  readonly sequence: number;
  readonly descriptor?: readonly { readonly block: number; readonly from: JournalBlock }[];
  readonly revoked?: readonly number[];
}

/** @param runs Where the journal's own blocks lie. @throws {HearthError} `FILE_SYSTEM_INVALID`, `FILE_SYSTEM_UNSUPPORTED`. */
export async function replayJournal(
  runs: readonly BlockRun[],
  blocks: BlockStore,
): Promise<ReadonlyMap<number, JournalBlock>> {
  const journal = await openJournal(runs, blocks);
  const newest = new Map<number, JournalBlock>();
  if (journal === undefined) return newest;
  const steps = await completeSteps(journal);
  const revokedAt = new Map<number, number>();
  for (const { sequence, revoked = [] } of steps) for (const block of revoked) revokedAt.set(block, sequence);
  for (const { sequence, descriptor = [] } of steps) {
    for (const { block, from } of descriptor) {
      if ((revokedAt.get(block) ?? -1) >= sequence) continue;
      if (block < blocks.blockCount) newest.set(block, from);
    }
  }
  return newest;
}

async function openJournal(runs: readonly BlockRun[], blocks: BlockStore): Promise<Journal | undefined> {
  const head = await blocks.block(physical(runs, 0));
  const version = head.readUInt32BE(4);
  if (
    head.readUInt32BE(0) !== JOURNAL_MAGIC ||
    (version !== BLOCK.superblock1 && version !== BLOCK.superblock2)
  ) {
    throw damaged('its journal has no superblock');
  }
  const start = head.readUInt32BE(28);
  if (start === 0) return undefined;
  const blockCount = head.readUInt32BE(16);
  const firstBlock = head.readUInt32BE(20);
  const features = version === BLOCK.superblock2 ? head.readUInt32BE(40) : 0;
  const unknown = (features & ~KNOWN_FEATURES) >>> 0;
  if (unknown !== 0)
    throw unsupported(`features 0x${unknown.toString(16)} of the journal`, { features: unknown });
  if (
    head.readUInt32BE(12) !== blocks.blockBytes ||
    blockCount > MAX_JOURNAL_BLOCKS ||
    firstBlock === 0 ||
    firstBlock >= blockCount ||
    start < firstBlock ||
    start >= blockCount
  ) {
    throw damaged('the superblock of its journal', { blockCount, firstBlock, start });
  }
  const is64Bit = (features & FEATURE.is64Bit) !== 0;
  const checksum3 = (features & FEATURE.checksum3) !== 0;
  const checksum2 = (features & FEATURE.checksum2) !== 0;
  return {
    blocks,
    runs,
    firstBlock,
    blockCount,
    start,
    sequence: head.readUInt32BE(24),
    is64Bit,
    tagBytes: checksum3 ? 16 : 8 + (checksum2 ? 2 : 0) + (is64Bit ? 4 : 0),
    hasTail: checksum2 || checksum3,
  };
}

/** The steps of all transactions that were completed. */
async function completeSteps(journal: Journal): Promise<Step[]> {
  const complete: Step[] = [];
  let pending: Step[] = [];
  let { sequence, start: at } = journal;
  // Every block of the log is looked at once at most.
  for (let looked = 0; looked < journal.blockCount; ) {
    const bytes = await journal.blocks.block(physical(journal.runs, at));
    if (bytes.readUInt32BE(0) !== JOURNAL_MAGIC || bytes.readUInt32BE(8) !== sequence) break;
    looked += 1;
    at = next(journal, at);
    const kind = bytes.readUInt32BE(4);
    if (kind === BLOCK.descriptor) {
      const descriptor: { block: number; from: JournalBlock }[] = [];
      for (const { block, flags } of tagsOf(bytes, journal)) {
        const from = { block: physical(journal.runs, at), escaped: (flags & TAG.escaped) !== 0 };
        descriptor.push({ block, from });
        looked += 1;
        at = next(journal, at);
      }
      pending.push({ sequence, descriptor });
    } else if (kind === BLOCK.revoke) {
      pending.push({ sequence, revoked: revokedOf(bytes, journal) });
    } else if (kind === BLOCK.commit) {
      complete.push(...pending);
      pending = [];
      sequence = (sequence + 1) >>> 0;
    } else {
      break;
    }
  }
  return complete;
}

function tagsOf(bytes: Buffer, { tagBytes, is64Bit, hasTail }: Journal): Tag[] {
  const end = bytes.byteLength - (hasTail ? 4 : 0);
  const tags: Tag[] = [];
  let at = HEADER_BYTES;
  while (at + tagBytes <= end) {
    const low = bytes.readUInt32BE(at);
    const flags = tagBytes === 16 ? bytes.readUInt32BE(at + 4) : bytes.readUInt16BE(at + 6);
    const high = is64Bit ? bytes.readUInt32BE(at + 8) : 0;
    tags.push({ block: low + high * 2 ** 32, flags });
    at += tagBytes + ((flags & TAG.sameUuid) === 0 ? UUID_BYTES : 0);
    if ((flags & TAG.last) !== 0) break;
  }
  return tags;
}

function revokedOf(bytes: Buffer, { is64Bit }: Journal): number[] {
  const end = bytes.readUInt32BE(HEADER_BYTES);
  if (end > bytes.byteLength) throw damaged('a block of its journal that takes blocks back');
  const width = is64Bit ? 8 : 4;
  const revoked: number[] = [];
  for (let at = HEADER_BYTES + 4; at + width <= end; at += width) {
    revoked.push(is64Bit ? Number(bytes.readBigUInt64BE(at)) : bytes.readUInt32BE(at));
  }
  return revoked;
}

function next({ firstBlock, blockCount }: Journal, at: number): number {
  return at + 1 >= blockCount ? firstBlock : at + 1;
}

function physical(runs: readonly BlockRun[], fileBlock: number): number {
  for (const run of runs) {
    if (run.block === undefined || fileBlock < run.fileBlock || fileBlock >= run.fileBlock + run.count)
      continue;
    return run.block + fileBlock - run.fileBlock;
  }
  throw damaged('a hole in its journal', { block: fileBlock });
}
