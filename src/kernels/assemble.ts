/** Makes the files of a bundle in a staging directory, from a kernel and its modules wherever they came from. */
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileError, HearthError } from '../errors/index.js';
import { syncDirectory } from '../fsx/index.js';
import {
  BUNDLE_SCHEMA,
  type BundleFile,
  type KernelOrigin,
  type KernelRecord,
  MODULES_DIRECTORY,
  RECORD_FILE,
  VMLINUX_FILE,
} from './bundle.js';
import { readModules } from './module-tree.js';
import { extractVmlinux, kernelRelease } from './vmlinux.js';

/** Larger than any kernel file that is not a mistake. */
const MAX_KERNEL_BYTES = 1024 * 1024 * 1024;

/** What a guest cannot do without: its disk, its agent's channel. */
const REQUIRED_MODULES = ['virtio_mmio', 'virtio_blk', 'virtio_console', 'ext4'];

/** What some guests use: other transports, entropy, network, memory, channels and file systems. */
const OPTIONAL_MODULES = [
  ...['virtio_pci', 'virtio_rng', 'virtio_net', 'virtio_balloon', 'virtio_mem'],
  ...['vmw_vsock_virtio_transport', 'overlay', 'fuse', 'virtiofs', 'erofs', 'squashfs', 'pvpanic_pci'],
  ...['loop', 'tun', 'veth', 'bridge', 'dummy', 'af_packet', 'crc32c_intel'],
];

export interface BundleSource {
  /** A vmlinuz (bzImage) or a vmlinux. */
  readonly kernelPath: string;
  /** `/lib/modules/<release>` of that kernel, or undefined when all it needs is built in. */
  readonly modulesDirectory: string | undefined;
  readonly origin: KernelOrigin;
}

/**
 * Writes vmlinux, modules and kernel.json to `staging` (existing, empty) and syncs them all.
 *
 * @throws {HearthError} what {@link extractVmlinux} and {@link readModules} throw, and file errors.
 */
export async function assembleBundle(
  name: string,
  source: BundleSource,
  staging: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<KernelRecord> {
  const { signal } = options;
  const vmlinux = await extractVmlinux(await readKernel(source.kernelPath, signal), options);
  const release = kernelRelease(vmlinux);
  const modules =
    source.modulesDirectory === undefined
      ? []
      : await readModules(
          source.modulesDirectory,
          { release, required: REQUIRED_MODULES, optional: OPTIONAL_MODULES },
          options,
        );

  const files: BundleFile[] = [await writeSynced(staging, VMLINUX_FILE, vmlinux)];
  for (const module of modules) {
    signal?.throwIfAborted();
    files.push(await writeSynced(staging, `${MODULES_DIRECTORY}/${module.path}`, module.data));
  }
  const record: KernelRecord = {
    schema: BUNDLE_SCHEMA,
    name,
    release,
    origin: source.origin,
    files,
    modules: modules.map(({ name: moduleName, path, requires }) => ({ name: moduleName, path, requires })),
    createdAt: new Date().toISOString(),
  };
  await writeSynced(staging, RECORD_FILE, Buffer.from(`${JSON.stringify(record, null, 2)}\n`));
  const directories = new Set(files.map(({ path }) => dirname(join(staging, path))));
  for (const directory of directories) await syncDirectory(directory);
  return record;
}

async function readKernel(path: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  try {
    const found = await stat(path);
    if (!found.isFile() || found.size > MAX_KERNEL_BYTES) {
      throw new HearthError('KERNEL_INVALID', `${path} is not a kernel: not a file of at most 1 GiB`, {
        details: { path, sizeBytes: found.size, maxBytes: MAX_KERNEL_BYTES },
      });
    }
    return await readFile(path, signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw fileError(error, path);
  }
}

async function writeSynced(root: string, path: string, data: Uint8Array): Promise<BundleFile> {
  const target = join(root, path);
  try {
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    const file = await open(target, 'wx', 0o600);
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError(error, target);
  }
  return {
    path,
    sizeBytes: data.byteLength,
    digest: `sha256:${createHash('sha256').update(data).digest('hex')}`,
  };
}
