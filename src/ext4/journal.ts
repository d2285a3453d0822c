/**
 * The journal's own superblock; the rest of an unused journal is never read.
 * Source: Linux 6.12, Documentation/filesystems/ext4/journal.rst; big-endian, unlike everything else.
 */
import { BLOCK_BYTES } from './format.js';
import type { BlockStage } from './image-file.js';

const MAGIC = 0xc03b3998;
const SUPERBLOCK_V2 = 4;
const UUID_OFFSET = 48;

/** Writes the first block of an empty journal at `offset`, where there are zeros. */
export function writeJournalSuperblock(
  stage: BlockStage,
  offset: number,
  journal: { blockCount: number; uuid: Uint8Array },
): void {
  const { view, bytes } = stage;
  view.setUint32(offset, MAGIC);
  view.setUint32(offset + 4, SUPERBLOCK_V2);
  view.setUint32(offset + 12, BLOCK_BYTES);
  view.setUint32(offset + 16, journal.blockCount);
  // First block and first sequence number of the log; one file system uses it.
  view.setUint32(offset + 20, 1);
  view.setUint32(offset + 24, 1);
  view.setUint32(offset + 64, 1);
  bytes.set(journal.uuid, offset + UUID_OFFSET);
}
