/** Which VM a start makes: one that goes on from a saved one, one that boots, or the second because the first failed. */
import { bootSandbox } from './boot-sandbox.js';
import type { SandboxProgress } from './create-sandbox.js';
import type { SandboxRecord } from './sandbox-record.js';
import type { OnAgent, SandboxVm } from './sandbox-vm.js';
import { removeOtherDisks } from './snapshots/own-disk.js';
import type { FindStartSource, StartSource } from './start-source.js';
import { isWarmFailure } from './warm-failure.js';

/** The sandbox as a start sees it. */
export interface Startable {
  readonly directory: string;
  readonly record: () => SandboxRecord;
  readonly update: (fields: Partial<SandboxRecord>) => Promise<void>;
  readonly onAgent: OnAgent;
  readonly hold: (vm: SandboxVm) => Promise<void>;
  /** Resolves when the VM that it held is gone. */
  readonly settled: () => Promise<void>;
}

export interface StartVmOptions {
  readonly signal: AbortSignal;
  readonly onProgress?: ((progress: SandboxProgress) => void) | undefined;
  readonly findSource?: FindStartSource | undefined;
}

/** @throws {HearthError} those of `bootSandbox`. No process is left then. */
export async function startVm(
  sandbox: Startable,
  { signal, onProgress, findSource }: StartVmOptions,
): Promise<void> {
  const environment = sandbox.record().environment.name;
  const onPhase = (phase: string): void => onProgress?.({ phase, environment });
  const source = await findSource?.(sandbox.record(), sandbox.directory, { signal, onPhase });
  try {
    await startFrom(sandbox, source, signal, onPhase);
  } catch (error) {
    if (source?.fallback === undefined || !isWarmFailure(error)) throw error;
    await sandbox.settled();
    const message = `the saved VM does not go on (${error.code}), so this one boots`;
    onProgress?.({ phase: 'boot', environment, message });
    await sandbox.update({ disk: await source.fallback(), vmm: null });
    await startFrom(sandbox, undefined, signal, onPhase);
  }
}

async function startFrom(
  sandbox: Startable,
  source: StartSource | undefined,
  signal: AbortSignal,
  onPhase: (phase: string) => void,
): Promise<void> {
  await sandbox.update({
    pristine: false,
    startKind: source === undefined ? 'cold' : 'warm',
    ...(source === undefined ? {} : { disk: source.disk }),
  });
  await removeOtherDisks(sandbox.record(), sandbox.directory);
  await bootSandbox(sandbox.record(), {
    directory: sandbox.directory,
    signal,
    onPhase,
    onAgent: sandbox.onAgent,
    onVmm: sandbox.hold,
    ...(source === undefined ? {} : { source }),
  });
}
