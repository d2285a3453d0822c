/**
 * Makes one environment: staging directory, artifacts from the first source that works, boot artifacts,
 * manifest, one rename. The caller holds the name's lock. Whatever goes wrong, the staging is gone after it.
 */
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import { publishDirectory, syncDirectory, writeFileAtomic } from '../fsx/index.js';
import type { KernelBundle } from '../kernels/index.js';
import {
  type BootArtifactsRequest,
  type BootParts,
  completeBroughtKernel,
  type PlacedBoot,
  placeBundle,
  placeKernelFiles,
} from './boot-artifacts.js';
import {
  encodeInstallManifest,
  INITRD_FILE,
  type InstalledArtifact,
  type InstallManifest,
  KERNEL_FILE,
  MANIFEST_FILE,
  ROOTFS_FILE,
} from './install-manifest.js';
import type { KernelInputs } from './kernel-inputs.js';
import type { EnvironmentLayout } from './layout.js';
import type { OnEnvironmentProgress, SkippedSource } from './progress.js';
import type { ObtainedArtifacts, SourceRequest } from './source.js';
import { hashFile, hashRootfs } from './validity.js';

/** One way to get an environment. */
export interface SourceAttempt {
  /** For messages: `oci docker.io/library/debian:12`. */
  readonly label: string;
  obtain(request: SourceRequest): Promise<ObtainedArtifacts>;
}

export interface InstallPlan {
  readonly name: string;
  readonly version: string;
  readonly origin: InstallManifest['origin'];
  readonly reference: string | null;
  readonly generation: number;
  readonly catalogVersion: string;
  readonly attempts: readonly SourceAttempt[];
  readonly kernel: KernelInputs;
  readonly sizeBytes: number | undefined;
  readonly offline: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: OnEnvironmentProgress | undefined;
  /** Called before publication; throws when what was made is not what was asked for. */
  readonly assertWanted?: (manifest: InstallManifest) => void;
}

export interface InstallerContext {
  readonly layout: EnvironmentLayout;
  readonly boot: BootParts;
  readonly agentPath: string;
  readonly initrdCacheDirectory: string;
  readonly writerVersion: string;
  ensureKernel(name: string, plan: InstallPlan): Promise<KernelBundle>;
}

/** Errors of a source after which the next one is worth trying: it cannot be had, or not here. */
const FALL_THROUGH_KINDS: ReadonlySet<string> = new Set([
  'unavailable',
  'timeout',
  'notFound',
  'unsupported',
  'denied',
]);

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
    // Found first: without a kernel the long work on the rootfs would be for nothing.
    const bundle =
      plan.kernel.kind === 'named' ? await context.ensureKernel(plan.kernel.name, plan) : undefined;
    const { obtained, skipped } = await obtainFromFirst(plan, staging, scratch);
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
      writer_version: context.writerVersion,
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
    throw fileError(error, staging);
  } finally {
    await rm(staging, { recursive: true, force: true, maxRetries: 3 });
  }
}

function report(plan: InstallPlan, phase: 'install', source: string): void {
  plan.onProgress?.({ phase, environment: plan.name, source });
}

async function obtainFromFirst(
  plan: InstallPlan,
  staging: string,
  scratch: string,
): Promise<{ obtained: ObtainedArtifacts; skipped: SkippedSource[] }> {
  const skipped: SkippedSource[] = [];
  for (const [index, attempt] of plan.attempts.entries()) {
    const request: SourceRequest = {
      environment: plan.name,
      staging,
      scratch,
      sizeBytes: plan.sizeBytes,
      offline: plan.offline,
      hasFallback: index < plan.attempts.length - 1,
      signal: plan.signal,
      report: (phase, progress) =>
        plan.onProgress?.({ phase, environment: plan.name, source: attempt.label, ...progress }),
    };
    try {
      return { obtained: await attempt.obtain(request), skipped };
    } catch (error) {
      plan.signal?.throwIfAborted();
      if (!HearthError.is(error) || !FALL_THROUGH_KINDS.has(error.kind)) throw error;
      if (plan.attempts.length === 1) throw error;
      skipped.push({ source: attempt.label, code: error.code, reason: error.message });
      if (!request.hasFallback) throw allFailed(plan, skipped, error);
      await emptyStaging(staging, scratch);
      plan.onProgress?.({
        phase: 'resolve',
        environment: plan.name,
        source: attempt.label,
        message: `passed over ${attempt.label}: ${error.message}`,
      });
    }
  }
  throw new HearthError('ENVIRONMENT_SOURCE_UNAVAILABLE', `${plan.name} has no source`, {
    hint: 'Add a source to its catalog entry.',
    details: { environment: plan.name },
  });
}

function allFailed(plan: InstallPlan, skipped: readonly SkippedSource[], last: HearthError): HearthError {
  const reasons = skipped.map(({ source, reason }) => `${source}: ${reason}`).join('; ');
  return new HearthError(last.code, `no source of ${plan.name} could be used: ${reasons}`, {
    ...(last.hint === undefined ? {} : { hint: last.hint }),
    details: { ...last.details, environment: plan.name, sources: skipped },
    cause: last,
  });
}

/** What a source left behind that gave up half way must not end up in the install. */
async function emptyStaging(staging: string, scratch: string): Promise<void> {
  for (const name of await readdir(staging)) await rm(join(staging, name), { recursive: true, force: true });
  await mkdir(scratch, { mode: 0o700 });
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
      const digest =
        name === ROOTFS_FILE
          ? (rootfsDigest ?? (await hashRootfs(path, signal)))
          : await hashFile(path, signal);
      artifacts[name] = {
        digest,
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
