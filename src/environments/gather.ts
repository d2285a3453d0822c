/** Getting the parts of an environment together: its kernel, and its rootfs from the first source that works. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HearthError } from '../errors/index.js';
import type { KernelBundle } from '../kernels/index.js';
import type { InstallerContext, InstallPlan } from './install-plan.js';
import type { SkippedSource } from './progress.js';
import type { ObtainedArtifacts, SourceRequest } from './source.js';

/** Errors of a source after which the next one is worth trying: it cannot be had, or not here. */
const FALL_THROUGH_KINDS: ReadonlySet<string> = new Set([
  'unavailable',
  'timeout',
  'notFound',
  'unsupported',
  'denied',
]);

export interface Gathered {
  readonly bundle: KernelBundle | undefined;
  readonly obtained: ObtainedArtifacts;
  readonly skipped: SkippedSource[];
}

/** Kernel and rootfs at the same time; the first failure ends both, and both have ended when this does. */
export async function gather(
  plan: InstallPlan,
  context: InstallerContext,
  staging: string,
  scratch: string,
): Promise<Gathered> {
  const stop = new AbortController();
  const signal = plan.signal === undefined ? stop.signal : AbortSignal.any([plan.signal, stop.signal]);
  const joint: InstallPlan = { ...plan, signal };
  const endBoth = (error: unknown): never => {
    stop.abort(error);
    throw error;
  };
  const kernel =
    plan.kernel.kind === 'named'
      ? context.ensureKernel(plan.kernel.name, joint).catch(endBoth)
      : Promise.resolve(undefined);
  const [bundle, rootfs] = await Promise.allSettled([
    kernel,
    obtainFromFirst(joint, staging, scratch).catch(endBoth),
  ]);
  plan.signal?.throwIfAborted();
  if (stop.signal.aborted) throw stop.signal.reason;
  if (bundle.status === 'rejected') throw bundle.reason;
  if (rootfs.status === 'rejected') throw rootfs.reason;
  return { bundle: bundle.value, ...rootfs.value };
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
      if (attempt.isExpected === false) continue;
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
