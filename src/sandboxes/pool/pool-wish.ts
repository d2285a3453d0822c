/** What a pool is to hold, from what a user types: `debian:12=2`. */
import { totalmem } from 'node:os';
import { formatSize, MIB } from '../../bytes/index.js';
import { HearthError } from '../../errors/index.js';

export interface PoolWish {
  /** Name of an environment, or a reference to an image. */
  readonly image: string;
  /** 1..64 */
  readonly size: number;
}

export const MOST_POOLED = 64;
const WISH = /^([^=]+)(?:=(\d{1,3}))?$/;
/** Of the host's memory, what waiting VMs may take when nothing else is said. */
const DEFAULT_SHARE = 4;

/** @throws {HearthError} `USAGE_INVALID`. */
export function parsePoolWish(text: string): PoolWish {
  const [, image, number = '1'] = WISH.exec(text) ?? [];
  const size = Number(number);
  if (image !== undefined && size >= 1 && size <= MOST_POOLED) return { image, size };
  throw new HearthError('USAGE_INVALID', `${JSON.stringify(text.slice(0, 128))} names no pool`, {
    hint: `Give an environment and a number from 1 to ${MOST_POOLED}, for example --pool debian:12=2.`,
    details: { pool: text.slice(0, 128) },
  });
}

/**
 * Sees to it that the VMs that wait fit into so much memory; default: a quarter of the host's.
 *
 * @throws {HearthError} `USAGE_INVALID`.
 */
export function assertPoolFits(
  wishes: readonly PoolWish[],
  memoryMib: number,
  memoryBytes: number = Math.floor(totalmem() / DEFAULT_SHARE),
): void {
  const images = new Set(wishes.map(({ image }) => image));
  if (images.size < wishes.length) {
    throw new HearthError('USAGE_INVALID', 'an environment is named by two pools', {
      hint: 'Name each environment once, with the number of all its VMs.',
      details: { pools: wishes.map(({ image }) => image) },
    });
  }
  const count = wishes.reduce((sum, { size }) => sum + size, 0);
  const neededBytes = count * memoryMib * MIB;
  if (count <= MOST_POOLED && neededBytes <= memoryBytes) return;
  throw new HearthError(
    'USAGE_INVALID',
    `${count} VMs of ${memoryMib} MiB take up to ${formatSize(neededBytes)}, the pool may have ${formatSize(memoryBytes)}`,
    {
      hint: `Ask for fewer, at most ${MOST_POOLED}, or give the pool more with --pool-memory SIZE.`,
      details: { count, memoryMib, neededBytes, memoryBytes },
    },
  );
}
