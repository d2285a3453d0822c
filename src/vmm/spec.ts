/** What every driver checks before it starts anything. */
import { isAbsolute } from 'node:path';
import { HearthError } from '../errors/index.js';
import type { VmSpec } from './driver.js';

const MAX_CPUS = 64;
const MIN_MEMORY_MIB = 64;
const MAX_MEMORY_MIB = 1024 * 1024;
const MAX_DISKS = 16;
/** Of one device: the lowest bit of the first byte stands for groups. */
const MAC = /^[\da-f][02468ace](?::[\da-f]{2}){5}$/;
/** COMMAND_LINE_SIZE of x86 is 2048 with its closing NUL; the driver adds words of its own. */
const MAX_KERNEL_ARGS_CHARS = 1600;

/** @throws {HearthError} `VM_SPEC_INVALID` naming the field, the value and the range. */
export function assertSpec(spec: VmSpec): void {
  const paths = [
    ...[spec.directory, spec.kernelPath, ...(spec.initrdPath === undefined ? [] : [spec.initrdPath])],
    ...spec.disks.map(({ path }) => path),
    ...(spec.memory === undefined || spec.memory.kind === 'anonymous' ? [] : [spec.memory.path]),
    ...(spec.resumeFrom === undefined ? [] : [spec.resumeFrom.statePath]),
  ];
  for (const path of paths) {
    if (!isAbsolute(path) || path.includes('\0')) throw invalid('path', path, 'an absolute path');
  }
  assertRange('cpus', spec.cpus, 1, MAX_CPUS);
  assertRange('memoryMib', spec.memoryMib, MIN_MEMORY_MIB, MAX_MEMORY_MIB);
  assertRange('disks', spec.disks.length, 0, MAX_DISKS);
  if (spec.network !== undefined && !MAC.test(spec.network.mac)) {
    throw invalid('network.mac', spec.network.mac, 'an address such as 02:00:00:00:00:01');
  }
  const words = spec.kernelArgs.join(' ');
  if (words.length > MAX_KERNEL_ARGS_CHARS || /[^\x20-\x7e]/.test(words)) {
    throw invalid('kernelArgs', words, `at most ${MAX_KERNEL_ARGS_CHARS} printable ASCII characters`);
  }
}

function assertRange(field: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw invalid(field, value, `a whole number from ${min} to ${max}`);
}

function invalid(field: string, value: unknown, expected: string): HearthError {
  return new HearthError('VM_SPEC_INVALID', `${field} is ${JSON.stringify(value)}, expected ${expected}`, {
    hint: 'Change --cpus, --memory or the disks of this VM.',
    details: { field, value, expected },
  });
}
