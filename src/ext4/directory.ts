/** Directory blocks that list names one after the other, with the checksum at the end of each. */
import { updateCrc32c } from '../bytes/index.js';
import { BLOCK_BYTES } from './format.js';
import type { BlockStage } from './image-file.js';

const ENTRY_HEADER_BYTES = 8;
/** An entry without inode that hides the checksum from readers who do not know it. */
const TAIL_BYTES = 12;
const TAIL_TYPE = 0xde;
/** Room for entries in a block. */
export const ENTRY_SPACE_BYTES = BLOCK_BYTES - TAIL_BYTES;
/** `.` and `..` */
const DOT_ENTRIES_BYTES = 24;

/** Bytes of an entry, padded to four. */
export function entryBytes(nameBytes: number): number {
  return (ENTRY_HEADER_BYTES + nameBytes + 3) & ~3;
}

/** Bytes of all entries of a directory, `.` and `..` included. */
export function allEntriesBytes(names: readonly string[]): number {
  let sum = DOT_ENTRIES_BYTES;
  for (const name of names) sum += entryBytes(name.length);
  return sum;
}

/** Writes the entries of one directory block in turn. */
export class EntryWriter {
  readonly #stage: BlockStage;
  readonly #blockStart: number;
  #position: number;
  #lastEntry: number;

  /** @param blockStart Offset of the zeroed block in the stage. */
  constructor(stage: BlockStage, blockStart: number) {
    this.#stage = stage;
    this.#blockStart = blockStart;
    this.#position = blockStart;
    this.#lastEntry = blockStart;
  }

  add(inode: number, type: number, name: string): void {
    const { view, bytes } = this.#stage;
    const start = this.#position;
    const length = entryBytes(name.length);
    view.setUint32(start, inode, true);
    view.setUint16(start + 4, length, true);
    bytes[start + 6] = name.length;
    bytes[start + 7] = type;
    for (let i = 0; i < name.length; i++) bytes[start + ENTRY_HEADER_BYTES + i] = name.charCodeAt(i);
    this.#lastEntry = start;
    this.#position = start + length;
  }

  /** Gives the last entry all remaining space and adds the checksum. */
  finish(seed: number): void {
    const { view, bytes } = this.#stage;
    const tail = this.#blockStart + ENTRY_SPACE_BYTES;
    view.setUint16(this.#lastEntry + 4, tail - this.#lastEntry, true);
    view.setUint16(tail + 4, TAIL_BYTES, true);
    bytes[tail + 7] = TAIL_TYPE;
    view.setUint32(tail + 8, updateCrc32c(seed, bytes, this.#blockStart, tail), true);
  }
}
