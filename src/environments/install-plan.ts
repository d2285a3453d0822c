/** What an installation is to make, and with what. */
import type { KernelBundle } from '../kernels/index.js';
import type { BootParts } from './boot-artifacts.js';
import type { InstallManifest } from './install-manifest.js';
import type { KernelInputs } from './kernel-inputs.js';
import type { EnvironmentLayout } from './layout.js';
import type { OnEnvironmentProgress } from './progress.js';
import type { SourceAttempt } from './source.js';

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
  readonly writerVersion: () => Promise<string>;
  ensureKernel(name: string, plan: InstallPlan): Promise<KernelBundle>;
}
