/** Seeds of metadata checksums: every structure is summed together with what it belongs to. */
import { updateCrc32c } from '../bytes/index.js';
import { CHECKSUM_START } from './format.js';

const scratch = new Uint8Array(8);
const scratchView = new DataView(scratch.buffer);

/** The seed of everything in the file system. */
export function fileSystemSeed(uuid: Uint8Array): number {
  return updateCrc32c(CHECKSUM_START, uuid);
}

/** Carries `register` over a little-endian 32-bit number. */
export function sumUint32(register: number, value: number): number {
  scratchView.setUint32(0, value, true);
  return updateCrc32c(register, scratch, 0, 4);
}

/** Carries `register` over a little-endian 64-bit number, 0..2^53-1. */
export function sumUint64(register: number, value: number): number {
  scratchView.setUint32(0, value % 2 ** 32, true);
  scratchView.setUint32(4, Math.floor(value / 2 ** 32), true);
  return updateCrc32c(register, scratch, 0, 8);
}

/** The seed of what belongs to one inode (itself, its directory blocks, its extent blocks); generation 0. */
export function inodeSeed(seed: number, inodeNumber: number): number {
  return sumUint32(sumUint32(seed, inodeNumber), 0);
}
