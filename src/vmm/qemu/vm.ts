/** One running QEMU. */
import type { ConsoleLog } from '../console-log.js';
import type { Vm, VmExit, VmSpec } from '../driver.js';
import type { VmmProcess } from '../vmm-process.js';
import type { QmpClient } from './qmp.js';
import { saveState } from './saved-state.js';
import { within } from './within.js';

export interface QemuVmParts {
  readonly spec: VmSpec;
  readonly vmm: VmmProcess;
  readonly control: QmpClient;
  readonly channel: Vm['channel'];
  readonly log: ConsoleLog;
}

/** How long QEMU may take to write its disks' caches out. */
const QUIT_TIMEOUT_MS = 3000;
const TERM_GRACE_MS = 2000;

export class QemuVm implements Vm {
  readonly pid: number;
  readonly channel: Vm['channel'];
  readonly exited: Promise<VmExit>;
  readonly #parts: QemuVmParts;
  #killing: Promise<void> | undefined;

  constructor(parts: QemuVmParts) {
    this.pid = parts.vmm.pid;
    this.channel = parts.channel;
    this.#parts = parts;
    this.exited = this.#finish();
  }

  async consoleTail(maxBytes: number): Promise<string> {
    return this.#parts.log.tail(maxBytes);
  }

  async pause(): Promise<void> {
    await this.#parts.control.execute('stop');
  }

  async resume(): Promise<void> {
    await this.#parts.control.execute('cont');
  }

  async save(statePath: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { control, spec } = this.#parts;
    await this.pause();
    await saveState(control, {
      directory: spec.directory,
      statePath,
      memoryInState: spec.memory?.kind !== 'file',
      ...options,
    });
  }

  kill(): Promise<void> {
    this.#killing ??= this.#kill();
    return this.#killing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  /**
   * QEMU writes its disks' caches out when it is asked to quit; only one that does not answer is killed. One whose
   * disks nobody needs is killed at once.
   */
  async #kill(): Promise<void> {
    const { control, vmm, spec } = this.#parts;
    if (spec.disks.every(({ readOnly, disposable }) => readOnly || disposable === true)) {
      await vmm.kill();
      return;
    }
    const asked = await control.execute('quit', {}, { timeoutMs: QUIT_TIMEOUT_MS }).then(
      () => true,
      () => false,
    );
    const gone = asked && (await within(QUIT_TIMEOUT_MS, this.exited));
    if (!gone) await vmm.terminate(TERM_GRACE_MS);
    await this.exited;
  }

  /** Frees what the VM held, once its process is gone. */
  async #finish(): Promise<VmExit> {
    const { vmm, log, control } = this.#parts;
    const exit = await vmm.exited;
    await log.close();
    control.close();
    return exit;
  }
}
