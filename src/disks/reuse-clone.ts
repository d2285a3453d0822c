/** A VM that has a disk asks for one: the same disk, grown if need be, or a refusal; never another disk. */
import { HearthError } from '../errors/index.js';
import { type CloneRequest, resizeOptions } from './create-clone.js';
import {
  assertKnownSize,
  forgetSize,
  growClone,
  makeIndependent,
  recoverGrowth,
  virtualSize,
} from './grow-clone.js';
import { readSizeStamp, readStamp, type Slot } from './slot.js';

/** @throws {HearthError} `CLONE_ID_CONFLICT` when the slot was made for another id that sanitises alike. */
export function assertOwner({ directory, record }: Slot, vmId: string): void {
  if (record.vmId === vmId) return;
  throw new HearthError(
    'CLONE_ID_CONFLICT',
    `${directory} is the disk of VM ${JSON.stringify(record.vmId)}, not of ${JSON.stringify(vmId)}`,
    {
      hint: "Choose ids that differ in more than characters outside letters, digits, '-' and '_', or give the id of the owner.",
      details: { directory, owner: record.vmId, vmId },
    },
  );
}

/**
 * Makes the slot fit the request. Under the slot's lock.
 *
 * @throws {HearthError} See `RootfsRegistry.cloneForVm` and `cloneForVmWithSize`.
 */
export async function reuseClone(found: Slot, request: CloneRequest): Promise<void> {
  const { vmId, targetBytes, options } = request;
  let slot = found;
  assertOwner(slot, vmId);
  await assertStamp(slot, request);
  assertFormat(slot, options.format ?? 'raw');
  await recoverGrowth(slot);
  if (request.regrow && targetBytes !== undefined) slot = await forgetSize(slot, targetBytes);
  const sizeStamp = await readSizeStamp(slot.directory);
  const currentBytes = await virtualSize(slot);
  assertKnownSize(slot, currentBytes, sizeStamp);

  const { ungrownBytes, growth } = slot.record;
  const asked = targetBytes ?? sizeStamp ?? ungrownBytes;
  if (sizeStamp !== undefined && asked !== sizeStamp) throw sizeMismatch(slot, sizeStamp, asked);
  const grown = sizeStamp !== undefined || (asked === ungrownBytes && growth !== 'online');
  if (!grown && targetBytes !== undefined) {
    await growClone(slot, asked, { ...resizeOptions(request), growth: options.growth ?? 'offline' });
  } else if (options.readOnly !== true) {
    await makeIndependent(slot, resizeOptions(request));
  }
}

async function assertStamp(slot: Slot, { template }: CloneRequest): Promise<void> {
  const stamp = await readStamp(slot.directory);
  if (stamp === template.sha256) return;
  throw new HearthError(
    'CLONE_STAMP_MISMATCH',
    `stamp mismatch: ${slot.diskPath} was cloned from ${stamp}, template ${template.name} is ${template.sha256}`,
    {
      hint: 'Run `hearth disk release` for that VM and clone again; what its disk holds is lost.',
      details: { path: slot.diskPath, stamp, template: template.name, sha256: template.sha256 },
    },
  );
}

function assertFormat({ diskPath, record }: Slot, format: string): void {
  if (format === 'auto' || format === record.format) return;
  throw new HearthError('CLONE_FORMAT_MISMATCH', `${diskPath} is a ${record.format} disk, not ${format}`, {
    hint: `Ask for ${record.format}, or release the disk first.`,
    details: { path: diskPath, format: record.format, wanted: format },
  });
}

function sizeMismatch(slot: Slot, sizeStamp: number, targetBytes: number): HearthError {
  return new HearthError(
    'CLONE_SIZE_MISMATCH',
    `size stamp mismatch: ${slot.diskPath} was grown to ${sizeStamp} bytes, asked for ${targetBytes}`,
    {
      hint: `Ask for ${sizeStamp} bytes, or release the disk and clone it at the other size.`,
      details: { path: slot.diskPath, sizeBytes: sizeStamp, targetBytes },
    },
  );
}
