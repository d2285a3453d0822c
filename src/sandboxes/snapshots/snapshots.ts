/** Sandboxes that go back: to their beginning. */
import type { HearthPaths } from '../../fsx/index.js';
import type { SandboxOperationOptions } from '../create-sandbox.js';
import type { Sandbox } from '../sandbox.js';
import { hasVm, type SandboxInfo, sandboxInfo } from '../sandbox-record.js';
import { freshDisk } from './own-disk.js';
import { warmStartFrom } from './warm-start.js';

export interface SnapshotsContext {
  readonly paths: HearthPaths;
  /** @throws {HearthError} `SANDBOX_NOT_FOUND`, `SANDBOX_AMBIGUOUS`. */
  readonly find: (reference: string) => Sandbox;
}

export interface ResetOptions extends SandboxOperationOptions {
  /** Boots it rather than resumes it. Default false. */
  readonly cold?: boolean | undefined;
}

export class Snapshots {
  readonly #context: SnapshotsContext;

  constructor(context: SnapshotsContext) {
    this.#context = context;
  }

  /**
   * Gives the sandbox a fresh disk, as the environment has it and as large as before; name, limits and ports stay.
   * It runs again when it ran. Its snapshots stay.
   *
   * @throws {HearthError} what cloning and starting throw. When there is no room for the disk, nothing has changed.
   */
  async reset(reference: string, { cold = false, ...options }: ResetOptions = {}): Promise<SandboxInfo> {
    const sandbox = this.#context.find(reference);
    const runs = hasVm(sandbox.record.state);
    const findSource = cold ? undefined : warmStartFrom(this.#context.paths);
    const { signal } = options;
    await sandbox.replaceDisk(
      async (directory) => ({
        disk: await freshDisk(sandbox.record, directory, signal === undefined ? {} : { signal }),
        pristine: true,
      }),
      runs ? { ...options, findSource } : undefined,
    );
    return sandboxInfo(sandbox.record);
  }
}
