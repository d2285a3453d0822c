/**
 * Makes one environment: staging directory, artifacts from the first source that works, boot artifacts,
 * manifest, one rename. The caller holds the name's lock. Whatever goes wrong, the staging is gone after it.
 */
import { mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { formatSize } from '../bytes/index.js';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import { publishDirectory, syncDirectory, writeFileAtomic } from '../fsx/index.js';
import type { KernelBundle } from '../kernels/index.js';
import {
  type BootArtifactsRequest,
  completeBroughtKernel,
  type PlacedBoot,
  placeBundle,
  placeKernelFiles,
} from './boot-artifacts.js';
import { gather } from './gather.js';
import {
  encodeInstallManifest,
  INITRD_FILE,
  type InstalledArtifact,
  type InstallManifest,
  KERNEL_FILE,
  MANIFEST_FILE,
  ROOTFS_FILE,
} from './install-manifest.js';
import type { InstallerContext, InstallPlan } from './install-plan.js';
import type { EnvironmentLayout } from './layout.js';
import type { ObtainedArtifacts } from './source.js';
import { hashFile } from './validity.js';

/**
 * Installs and publishes; an install that was there before under the same name and version is replaced.
 *
 * @throws {HearthError} of the only source; of the last source with all reasons when there were several;
 *   what finding the kernel throws.
 */
export async function install(plan: InstallPlan, context: InstallerContext): Promise<InstallManifest> {
  const { layout } = context;
  plan.signal?.throwIfAborted();
  const staging = await layout.createStaging(plan.name);
  try {
    const scratch = join(staging, 'scratch');
    await mkdir(scratch, { mode: 0o700 });
    const { bundle, obtained, skipped } = await gather(plan, context, staging, scratch);
    report(plan, 'install', obtained.source);
    const boot = await placeBoot(plan, context, { staging, scratch, obtained, bundle });
    await rm(scratch, { recursive: true, force: true });
    const artifacts = await measureArtifacts(staging, obtained.rootfsDigest, plan.signal);
    const manifest: InstallManifest = {
      schema_version: 1,
      catalog_version: plan.catalogVersion,
      name: plan.name,
      version: plan.version,
      source: obtained.source,
      source_digest: obtained.sourceDigest,
      installed_at: new Date().toISOString(),
      platform: relative(layout.root, layout.platformDirectory),
      origin: plan.origin,
      reference: plan.reference,
      generation: plan.generation,
      writer_version: await context.writerVersion(),
      requested_size_bytes: plan.sizeBytes ?? null,
      provenance: obtained.provenance,
      artifacts,
      kernel: boot?.kernel ?? null,
      agent_digest: boot?.agentDigest ?? null,
      image_config: obtained.imageConfig,
      skipped_sources: skipped,
    };
    plan.assertWanted?.(manifest);
    await writeFileAtomic(join(staging, MANIFEST_FILE), encodeInstallManifest(manifest));
    plan.signal?.throwIfAborted();
    await publish(layout, staging, plan);
    return manifest;
  } catch (error) {
    plan.signal?.throwIfAborted();
    throw await namingTheDisk(fileError(error, staging), layout.root, plan.name);
  } finally {
    await rm(staging, { recursive: true, force: true, maxRetries: 3 });
  }
}

function report(plan: InstallPlan, phase: 'install', source: string): void {
  plan.onProgress?.({ phase, environment: plan.name, source });
}

/** A full disk, wherever in the work it was met, is reported with the directory that it is full for. */
async function namingTheDisk(error: unknown, root: string, name: string): Promise<unknown> {
  if (!HearthError.is(error) || error.code !== 'DISK_FULL') return error;
  const { bavail, bsize } = await statfs(root);
  const freeBytes = bavail * bsize;
  const { neededBytes } = error.details;
  const needs = typeof neededBytes === 'number' ? `about ${formatSize(neededBytes)}` : 'more';
  return new HearthError(
    'DISK_FULL',
    `no space left on the file system of ${root}: ${formatSize(freeBytes)} are free, and ${name} needs ${needs}`,
    {
      hint: 'Free some space (`hearth cache prune`, `hearth env prune`) and run the same command again.',
      details: { ...error.details, path: root, freeBytes, environment: name },
      cause: error,
    },
  );
}

async function placeBoot(
  plan: InstallPlan,
  context: InstallerContext,
  made: { staging: string; scratch: string; obtained: ObtainedArtifacts; bundle: KernelBundle | undefined },
): Promise<PlacedBoot | undefined> {
  const { staging, scratch, obtained, bundle } = made;
  const request: BootArtifactsRequest = {
    staging,
    scratch,
    agentPath: context.agentPath,
    initrdCacheDirectory: context.initrdCacheDirectory,
    signal: plan.signal,
  };
  if (obtained.hasKernel) {
    if (await exists(join(staging, INITRD_FILE))) return undefined;
    return await completeBroughtKernel(context.boot, request);
  }
  if (plan.kernel.kind === 'files') return await placeKernelFiles(plan.kernel, context.boot, request);
  return bundle === undefined ? undefined : await placeBundle(bundle, context.boot, request);
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw fileError(error, path);
  }
}

/** Syncs and hashes every file of the staging directory; the rootfs only when its digest is not known. */
async function measureArtifacts(
  staging: string,
  rootfsDigest: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Record<string, InstalledArtifact>> {
  const artifacts: Record<string, InstalledArtifact> = {};
  const directories = [staging];
  for (const entry of await readdir(staging, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) directories.push(path);
    if (!entry.isFile()) continue;
    signal?.throwIfAborted();
    const file = await open(path, 'r');
    try {
      await file.sync();
      const found = await file.stat({ bigint: true });
      const name = relative(staging, path);
      const known = name === ROOTFS_FILE ? rootfsDigest : undefined;
      artifacts[name] = {
        digest: known ?? (await hashFile(path, signal)),
        size_bytes: Number(found.size),
        mtime_ns: String(found.mtimeNs),
      };
    } finally {
      await file.close();
    }
  }
  for (const directory of directories.reverse()) await syncDirectory(directory);
  for (const required of [ROOTFS_FILE, KERNEL_FILE]) {
    if (artifacts[required] === undefined) {
      throw new HearthError('INTERNAL', `the install in ${staging} came out without ${required}`, {
        details: { staging, required },
      });
    }
  }
  return artifacts;
}

async function publish(layout: EnvironmentLayout, staging: string, plan: InstallPlan): Promise<void> {
  const final = layout.installDirectory(plan.name, plan.version);
  const old = await layout.createStaging(plan.name);
  try {
    try {
      await rename(final, join(old, 'replaced'));
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw fileError(error, final);
    }
    await publishDirectory(staging, final);
  } finally {
    await rm(old, { recursive: true, force: true, maxRetries: 3 });
  }
}
