/** One running Firecracker. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ConsoleLog } from '../console-log.js';
import type { Vm, VmExit, VmSpec } from '../driver.js';
import type { SocketDirectory } from '../socket-directory.js';
import type { VmmProcess } from '../vmm-process.js';
import type { FirecrackerApi } from './api.js';
import { unsupported } from './configuration.js';

export interface FirecrackerVmParts {
  readonly spec: VmSpec;
  readonly vmm: VmmProcess;
  readonly api: FirecrackerApi;
  readonly sockets: SocketDirectory;
  /** Sockets that Firecracker made in the VM's directory and leaves there. */
  readonly socketNames: readonly string[];
  readonly channel: Vm['channel'];
  readonly log: ConsoleLog;
}

const TERM_GRACE_MS = 2000;
const SAVE_TIMEOUT_MS = 120_000;

export class FirecrackerVm implements Vm {
  readonly pid: number;
  readonly channel: Vm['channel'];
  readonly exited: Promise<VmExit>;
  readonly #parts: FirecrackerVmParts;
  #killing: Promise<void> | undefined;

  constructor(parts: FirecrackerVmParts) {
    this.pid = parts.vmm.pid;
    this.channel = parts.channel;
    this.#parts = parts;
    this.exited = this.#finish();
  }

  static async removeSockets(directory: string, names: readonly string[]): Promise<void> {
    for (const name of names) await rm(join(directory, name), { force: true });
  }

  async consoleTail(maxBytes: number): Promise<string> {
    return this.#parts.log.tail(maxBytes);
  }

  async pause(): Promise<void> {
    await this.#parts.api.setState('Paused');
  }

  async resume(): Promise<void> {
    await this.#parts.api.setState('Resumed');
  }

  /** The VM must have been started with its memory in a file, which is written here. */
  async save(statePath: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { api, spec } = this.#parts;
    if (spec.memory?.kind !== 'file') {
      throw unsupported('saving a VM without a memory file', 'Start the VM with a path for its memory.');
    }
    await api.setState('Paused', options);
    const files = { snapshot_path: statePath, mem_file_path: spec.memory.path };
    await api.put(
      '/snapshot/create',
      { snapshot_type: 'Full', ...files },
      { timeoutMs: SAVE_TIMEOUT_MS, ...options },
    );
  }

  kill(): Promise<void> {
    // It writes its disks through; there is nothing that it would finish when asked.
    this.#killing ??= this.#parts.vmm.terminate(TERM_GRACE_MS).then(async () => {
      await this.exited;
    });
    return this.#killing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  /** Frees what the VM held, once its process is gone. */
  async #finish(): Promise<VmExit> {
    const { vmm, log, sockets, spec, channel, socketNames } = this.#parts;
    const exit = await vmm.exited;
    await log.close();
    channel.destroy();
    await FirecrackerVm.removeSockets(spec.directory, socketNames);
    await sockets[Symbol.asyncDispose]();
    return exit;
  }
}
