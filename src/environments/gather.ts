/** Getting the parts of an environment together: its kernel, and its rootfs from the first source that works. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HearthError } from '../errors/index.js';
import type { KernelBundle } from '../kernels/index.js';
import type { InstallerContext, InstallPlan } from './install-plan.js';
import type { SkippedSource } from './progress.js';
import type { ObtainedArtifacts, SourceAttempt, SourceRequest } from './source.js';

/** Errors of a source after which the next one is worth trying: it cannot be had, or not here. */
const FALL_THROUGH_KINDS: ReadonlySet<string> = new Set([
  'unavailable',
  'timeout',
  'notFound',
  'unsupported',
  'denied',
]);

export interface Gathered {
  /** Undefined when the kernel is given as files or came with the rootfs. */
  readonly bundle: KernelBundle | undefined;
  readonly obtained: ObtainedArtifacts;
  readonly skipped: SkippedSource[];
}

/**
 * Gets the rootfs, and meanwhile the kernel if the source may need one. The first failure ends both, and both
 * have ended when this does.
 */
export async function gather(
  plan: InstallPlan,
  context: InstallerContext,
  staging: string,
  scratch: string,
): Promise<Gathered> {
  const stop = new AbortController();
  const signal = plan.signal === undefined ? stop.signal : AbortSignal.any([plan.signal, stop.signal]);
  const joint: InstallPlan = { ...plan, signal };
  let kernel: Promise<KernelBundle> | undefined;
  const startKernel = (attempt: SourceAttempt): void => {
    if (plan.kernel.kind !== 'named' || attempt.kernel === 'brought') return;
    kernel ??= context.ensureKernel(plan.kernel.name, joint);
    kernel.catch((error: unknown) => {
      if (attempt.kernel === 'needed') stop.abort(error);
    });
  };
  try {
    const rootfs = await obtainFromFirst(joint, { staging, scratch, startKernel });
    const bundle = rootfs.obtained.hasKernel ? undefined : await kernel;
    return { bundle, ...rootfs };
  } catch (error) {
    plan.signal?.throwIfAborted();
    throw stop.signal.aborted ? stop.signal.reason : error;
  } finally {
    stop.abort(new Error('no longer needed'));
    await kernel?.catch(() => undefined);
  }
}

interface Obtaining {
  readonly staging: string;
  readonly scratch: string;
  readonly startKernel: (attempt: SourceAttempt) => void;
}

async function obtainFromFirst(
  plan: InstallPlan,
  { staging, scratch, startKernel }: Obtaining,
): Promise<Pick<Gathered, 'obtained' | 'skipped'>> {
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
    startKernel(attempt);
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
