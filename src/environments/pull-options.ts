/** What a pull may be asked for, and what follows from it. */
import { HearthError } from '../errors/index.js';
import { DEFAULT_PLATFORM, type Platform, parsePlatform } from '../oci/index.js';
import type { SourceType } from './attempts.js';
import type { StoreContext } from './context.js';
import type { Environment } from './environment.js';
import { environmentInUse } from './failures.js';
import type { InstallManifest } from './install-manifest.js';
import type { InstallPlan } from './install-plan.js';
import type { KernelChoice } from './kernel-inputs.js';
import type { OperationOptions } from './progress.js';

export interface PullEnvironmentOptions extends OperationOptions, KernelChoice {
  /** Name for an image; default: derived from its reference. Environments of the catalog keep theirs. */
  readonly name?: string;
  /** Size of the rootfs, bytes; default: what fits, at least 1 GiB. */
  readonly sizeBytes?: number;
  /** `linux/amd64` or a variant of it. */
  readonly platform?: string;
  /** Installs again what is valid. Default false. */
  readonly force?: boolean;
  /** Never touches the network. */
  readonly offline?: boolean;
  /** Only sources of this kind. */
  readonly source?: SourceType;
}

/** `pull` asks the registry what a tag means today; `ensure` is content with what is installed. */
export type PullMode = 'pull' | 'ensure';

/** True when an install is what was asked for, so that nothing has to be done. */
export function satisfies(manifest: InstallManifest, options: PullEnvironmentOptions): boolean {
  if (options.force === true || options.kernelPath !== undefined) return false;
  if (options.kernel !== undefined && options.kernel !== manifest.kernel?.name) return false;
  return options.sizeBytes === undefined || options.sizeBytes === manifest.requested_size_bytes;
}

export function bootablePlatform(text: string | undefined): Platform {
  if (text === undefined) return DEFAULT_PLATFORM;
  const platform = parsePlatform(text);
  if (platform.os === DEFAULT_PLATFORM.os && platform.architecture === DEFAULT_PLATFORM.architecture)
    return platform;
  throw new HearthError('PLATFORM_INVALID', `this build of hearth boots linux/amd64, not ${text}`, {
    hint: 'Leave out --platform, or use linux/amd64.',
    details: { platform: text, supported: ['linux/amd64'] },
  });
}

export function planBase(
  options: PullEnvironmentOptions,
  context: StoreContext,
): Pick<InstallPlan, 'catalogVersion' | 'sizeBytes' | 'offline' | 'signal' | 'onProgress'> {
  return {
    catalogVersion: context.catalog.version,
    sizeBytes: options.sizeBytes,
    offline: options.offline ?? context.offline,
    signal: options.signal,
    onProgress: options.onProgress,
  };
}

export async function refuseInUse(name: string, directory: string, context: StoreContext): Promise<void> {
  const users = await context.isInUse(directory);
  if (users.length > 0) throw environmentInUse(name, users, 'pull it under another name');
}

/** Tells that it is ready and returns it. */
export function ready(environment: Environment, options: OperationOptions): Environment {
  options.onProgress?.({ phase: 'ready', environment: environment.name, source: environment.source });
  return environment;
}
