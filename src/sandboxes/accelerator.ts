/** Which accelerator a VM gets. */
import { HearthError } from '../errors/index.js';
import type { HearthPaths } from '../fsx/index.js';
import type { Accelerator } from '../vmm/index.js';
import type { Bootable } from './machine.js';

export interface AcceleratorDecision {
  readonly accelerator: Accelerator;
  /** Why, one line. */
  readonly reason: string;
  /** A line for people, when the choice may surprise them. */
  readonly note?: string;
}

export async function chooseAccelerator(
  wish: string,
  _environment: Bootable,
  _paths: HearthPaths,
  _signal: AbortSignal,
): Promise<AcceleratorDecision> {
  if (wish === 'auto' || wish === 'tcg') return { accelerator: 'tcg', reason: 'emulation' };
  throw new HearthError('USAGE_INVALID', `--accel ${wish}`);
}
