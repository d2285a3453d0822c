/**
 * The kernel in the form a VMM loads without a boot stub: an uncompressed ELF file with a PVH entry.
 *
 * Source: Linux 6.1, Documentation/x86/boot.rst; xen/interface/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY.
 * Booting it directly spares the guest from expanding itself, which under emulation takes seconds.
 */
import { HearthError } from '../errors/index.js';
import { isBzImage, readBzImage } from './bz-image.js';
import { detectCompression, expand } from './compression.js';
import { readElf } from './elf.js';

/** Far above any kernel that distributions ship (about 70 MiB). */
const MAX_VMLINUX_BYTES = 512 * 1024 * 1024;
const BANNER = 'Linux version ';
const XEN_ELFNOTE_PHYS32_ENTRY = 18;

/**
 * Gives the vmlinux of a kernel file: itself when it is one, or what a bzImage carries.
 *
 * @throws {HearthError} `KERNEL_INVALID` when it is neither or is damaged, `KERNEL_UNSUPPORTED` when it has no
 *   PVH entry or an unknown compression, `TOOL_NOT_FOUND` when a program is needed to expand it.
 */
export async function extractVmlinux(
  file: Uint8Array,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Uint8Array> {
  const vmlinux = isBzImage(file) ? await expandPayload(file, options.signal) : file;
  const elf = readElf(vmlinux, 'the kernel');
  if (elf.loadCount === 0) {
    throw new HearthError('KERNEL_INVALID', 'the kernel has no loadable segment', { details: {} });
  }
  if (elf.note('Xen', XEN_ELFNOTE_PHYS32_ENTRY) === undefined) {
    throw new HearthError('KERNEL_UNSUPPORTED', 'the kernel has no PVH entry (CONFIG_PVH is not set)', {
      hint: 'Take a kernel built with CONFIG_PVH=y, for example that of `hearth kernel pull`.',
      details: { missing: 'CONFIG_PVH' },
    });
  }
  return vmlinux;
}

/**
 * The release a vmlinux reports as `uname -r`, read from its banner.
 *
 * @throws {HearthError} `KERNEL_INVALID` when it has none, or one that is not a plain file name.
 */
export function kernelRelease(vmlinux: Uint8Array): string {
  const bytes = Buffer.from(vmlinux.buffer, vmlinux.byteOffset, vmlinux.byteLength);
  const at = bytes.indexOf(BANNER);
  const banner = at === -1 ? '' : bytes.toString('latin1', at + BANNER.length, at + BANNER.length + 128);
  const release = /^[0-9]+\.[0-9A-Za-z.+_~-]+(?= )/.exec(banner)?.[0];
  if (release === undefined) {
    throw new HearthError('KERNEL_INVALID', 'the kernel does not say its release', {
      details: { banner: banner.slice(0, 64) },
    });
  }
  return release;
}

async function expandPayload(file: Uint8Array, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const { payload, expandedBytes } = readBzImage(file);
  const format = detectCompression(payload);
  if (format === undefined) {
    const magic = Buffer.from(payload.subarray(0, 6)).toString('hex');
    throw new HearthError('KERNEL_UNSUPPORTED', `the kernel is compressed in an unknown way (${magic})`, {
      hint: 'Give an uncompressed vmlinux instead.',
      details: { magic },
    });
  }
  const compressed = format === 'gzip' ? payload : payload.subarray(0, payload.byteLength - 4);
  const vmlinux = await expand(format, compressed, {
    maxBytes: MAX_VMLINUX_BYTES,
    expandedBytes,
    ...(signal === undefined ? {} : { signal }),
  });
  if (vmlinux.byteLength !== expandedBytes) {
    throw new HearthError(
      'KERNEL_INVALID',
      `the kernel expands to ${vmlinux.byteLength} bytes, its file says ${expandedBytes}`,
      { details: { expectedBytes: expandedBytes, actualBytes: vmlinux.byteLength } },
    );
  }
  return vmlinux;
}
