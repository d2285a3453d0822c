/** Which accelerator the VMs of an environment get, remembered in hearth's cache. */
import { join } from 'node:path';
import { HearthError } from '../errors/index.js';
import type { HearthPaths } from '../fsx/index.js';
import { type AcceleratorDecision, type AcceleratorWish, resolveAccelerator } from '../vmm/index.js';
import type { Bootable } from './machine-spec.js';

const WISHES: ReadonlySet<string> = new Set<AcceleratorWish>(['auto', 'kvm', 'tcg']);

const isWish = (text: string): text is AcceleratorWish => WISHES.has(text);

/** @throws {HearthError} `USAGE_INVALID` for another word than `auto`, `kvm` or `tcg`. */
export function parseAcceleratorWish(text: string): AcceleratorWish {
  if (isWish(text)) return text;
  throw new HearthError('USAGE_INVALID', `no accelerator ${JSON.stringify(text.slice(0, 64))}`, {
    hint: 'Use --accel auto, kvm or tcg.',
    details: { accelerator: text.slice(0, 64) },
  });
}

/**
 * Decides by a guest that really runs; the first time on a host that takes a moment.
 *
 * @throws {HearthError} `KVM_UNAVAILABLE` for `kvm` on a host that cannot; `VMM_NOT_FOUND`.
 */
export async function chooseAccelerator(
  wish: AcceleratorWish,
  environment: Bootable,
  { paths, signal }: { readonly paths: HearthPaths; readonly signal?: AbortSignal },
): Promise<AcceleratorDecision> {
  return await resolveAccelerator(wish, {
    kernelPath: environment.kernelPath,
    cachePath: join(paths.cache, 'accelerator.json'),
    ...(signal === undefined ? {} : { signal }),
  });
}
