/**
 * VMs that outlive the process that started them: QEMU listens on sockets in the VM's directory, and whoever
 * has the directory and the identity of the process takes the VM over.
 */
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { fileError, HearthError } from '../../errors/index.js';
import { ConsoleLog } from '../console-log.js';
import { adoptProcess, type DetachedProcess, startDetachedProcess } from '../detached-process.js';
import type { SavedState, VmExit, VmSpec } from '../driver.js';
import { exitError } from '../errors.js';
import { findExecutable } from '../executable.js';
import { hostTscKhz } from '../host-tsc.js';
import type { ProcessIdentity } from '../process-identity.js';
import { assertSpec } from '../spec.js';
import { qemuArguments } from './command-line.js';
import { assertPrivateMemory, privateMemoryEnvironment } from './private-memory.js';
import { QmpClient } from './qmp.js';
import { loadState, saveState } from './saved-state.js';
import { connectSocket } from './vm-sockets.js';
import { within } from './within.js';

/** How a guest ended itself. */
export type GuestEnd = 'reset' | 'shutdown' | 'panic';

export interface DetachedVm {
  readonly identity: ProcessIdentity;
  /** Resolves when the VMM process is gone; never rejects. */
  readonly exited: Promise<VmExit & { readonly guestEnd: GuestEnd | undefined }>;
  /** Connects to the guest agent's channel, which takes one connection at a time. */
  openChannel(options?: { readonly signal?: AbortSignal }): Promise<Duplex>;
  /** The last `maxBytes` of what the guest wrote to its console since this process holds it. */
  consoleTail(maxBytes: number): string;
  isPaused(): Promise<boolean>;
  /** Stops the guest's CPUs; the channel stays. Idempotent. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /**
   * Pauses the VM and writes the state of its CPUs, devices and memory to the new file `statePath`; its disks are
   * complete on the host then, until `resume`. After a failure it is paused, too.
   */
  save(statePath: string, options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** Stops the VM at once. Resolves when the process is gone. Idempotent. */
  kill(): Promise<void>;
  /** Lets go of the VM, which runs on. */
  release(): Promise<void>;
}

export interface DetachedVmOptions {
  readonly signal?: AbortSignal;
  /** Name or path of the program. Default `qemu-system-x86_64`. */
  readonly binary?: string;
}

const QEMU = 'qemu-system-x86_64';
const SOCKETS = { control: 'control.sock', agent: 'agent.sock', console: 'console.sock' } as const;
const CONSOLE_FILE = 'console.log';
const START_TIMEOUT_MS = 30_000;
const ADOPT_TIMEOUT_MS = 10_000;
const QUIT_TIMEOUT_MS = 3000;
const TERM_GRACE_MS = 2000;
/** A panic's message stands before its registers and call trace, which may fill several kilobytes. */
const PANIC_CONSOLE_BYTES = 64 * 1024;
/** The first descriptor after stdin, stdout and stderr. */
const STATE_FD = 3;

/**
 * Starts a VM in its directory. Resolves once QEMU answers and, when there is a state to go on from, the guest
 * goes on; one that boots may not have booted yet.
 *
 * @throws {HearthError} as a driver's `start`. No process is left then.
 */
export async function startDetachedVm(spec: VmSpec, options: DetachedVmOptions = {}): Promise<DetachedVm> {
  const { signal, binary = QEMU } = options;
  signal?.throwIfAborted();
  assertSpec(spec);
  const command = await findExecutable(binary, process.env.PATH);
  if (command === undefined) {
    throw new HearthError('VMM_NOT_FOUND', `${binary} is not installed`, {
      hint: 'Install QEMU: `apt-get install qemu-system-x86` (as root).',
      details: { binary },
    });
  }
  await clearSockets(spec.directory);
  const listen = (fileName: string) => ({ kind: 'listen', fileName }) as const;
  const endpoints = {
    control: listen(SOCKETS.control),
    agent: listen(SOCKETS.agent),
    console: listen(SOCKETS.console),
  };
  const args = qemuArguments(spec, endpoints, { tscKhz: await hostTscKhz() });
  const state = spec.resumeFrom === undefined ? undefined : await openState(spec.resumeFrom);
  let vmm: DetachedProcess;
  try {
    const files = state === undefined ? [] : [state.fd];
    const env = await privateMemoryEnvironment(spec);
    vmm = await startDetachedProcess({ command, args, directory: spec.directory, files, env });
  } finally {
    await state?.close();
  }
  try {
    const vm = await QemuDetachedVm.hold(vmm, spec.directory, { timeoutMs: START_TIMEOUT_MS, signal });
    await assertPrivateMemory(spec, vmm.identity.pid);
    if (spec.resumeFrom !== undefined) await vm.load(spec, spec.resumeFrom, signal);
    return vm;
  } catch (error) {
    const endedByItself = HearthError.is(error) && error.code === 'VMM_REQUEST_FAILED';
    await vmm.terminate(endedByItself ? TERM_GRACE_MS : 0);
    throw endedByItself ? startError(spec, await vmm.exited) : error;
  }
}

async function openState({ statePath }: SavedState): Promise<FileHandle> {
  try {
    return await open(statePath, 'r');
  } catch (error) {
    throw fileError(error, statePath);
  }
}

/**
 * Takes over a VM that another process started.
 *
 * @returns undefined when it is gone.
 * @throws {HearthError} `VMM_TIMEOUT`, `VMM_REQUEST_FAILED` when its QEMU does not answer: it may hang.
 */
export async function adoptVm(
  identity: ProcessIdentity,
  directory: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<DetachedVm | undefined> {
  const vmm = await adoptProcess(identity, directory);
  if (vmm === undefined) return undefined;
  await keepConsole(directory);
  try {
    return await QemuDetachedVm.hold(vmm, directory, {
      timeoutMs: ADOPT_TIMEOUT_MS,
      signal: options.signal,
    });
  } catch (error) {
    vmm.release();
    throw error;
  }
}

/** Sockets of an earlier VM would be taken for those of the next one. */
async function clearSockets(directory: string): Promise<void> {
  for (const name of Object.values(SOCKETS)) await rm(join(directory, name), { force: true });
  await keepConsole(directory);
}

async function keepConsole(directory: string): Promise<void> {
  const path = join(directory, CONSOLE_FILE);
  await rename(path, `${path}.1`).catch(() => undefined);
}

function startError(spec: VmSpec, exit: VmExit): HearthError {
  if (spec.accelerator === 'kvm' && /\bkvm\b/i.test(exit.stderr)) {
    const reason = exit.stderr.trim();
    return new HearthError('KVM_UNAVAILABLE', `QEMU cannot use KVM: ${reason}`, {
      hint: 'Use `--accel auto` or `--accel tcg`, or get access to /dev/kvm (`sudo usermod -aG kvm $USER`, then log in again).',
      details: { reason },
    });
  }
  return exitError(exit, '');
}

interface HeldParts {
  readonly vmm: DetachedProcess;
  readonly control: QmpClient;
  readonly log: ConsoleLog;
  readonly console: Duplex;
  readonly directory: string;
}

class QemuDetachedVm implements DetachedVm {
  readonly identity: ProcessIdentity;
  readonly exited: DetachedVm['exited'];
  readonly #vmm: DetachedProcess;
  readonly #control: QmpClient;
  readonly #log: ConsoleLog;
  readonly #directory: string;
  readonly #console: Duplex;
  #guestEnd: GuestEnd | undefined;
  #killing: Promise<void> | undefined;

  private constructor({ vmm, control, log, console, directory }: HeldParts) {
    this.identity = vmm.identity;
    this.#vmm = vmm;
    this.#control = control;
    this.#log = log;
    this.#console = console;
    this.#directory = directory;
    control.onEvent(({ name, data }) => {
      if (name === 'GUEST_PANICKED') this.#guestEnd = 'panic';
      if (name === 'SHUTDOWN' && data.guest === true) {
        this.#guestEnd ??= data.reason === 'guest-shutdown' ? 'shutdown' : 'reset';
      }
    });
    this.exited = this.#finish();
  }

  static async hold(
    vmm: DetachedProcess,
    directory: string,
    { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal | undefined },
  ): Promise<QemuDetachedVm> {
    const options = { timeoutMs, signal, until: vmm.exited };
    const consoleStream = await connectSocket(directory, SOCKETS.console, options);
    let log: ConsoleLog | undefined;
    try {
      log = ConsoleLog.record(consoleStream, join(directory, CONSOLE_FILE));
      const socket = await connectSocket(directory, SOCKETS.control, options);
      socket.once('close', () => vmm.check());
      const limits = { timeoutMs, ...(signal === undefined ? {} : { signal }) };
      const { client } = await QmpClient.open(socket, limits);
      return new QemuDetachedVm({ vmm, control: client, log, console: consoleStream, directory });
    } catch (error) {
      consoleStream.destroy();
      await log?.close();
      throw error;
    }
  }

  async openChannel(options: { readonly signal?: AbortSignal } = {}): Promise<Duplex> {
    return await connectSocket(this.#directory, SOCKETS.agent, {
      timeoutMs: ADOPT_TIMEOUT_MS,
      signal: options.signal,
      until: this.#vmm.exited,
    });
  }

  consoleTail(maxBytes: number): string {
    return this.#log.tail(maxBytes);
  }

  async isPaused(): Promise<boolean> {
    const status = await this.#control.execute('query-status');
    return typeof status === 'object' && status !== null && 'running' in status && status.running === false;
  }

  async pause(): Promise<void> {
    await this.#control.execute('stop');
  }

  async resume(): Promise<void> {
    await this.#control.execute('cont');
  }

  async save(statePath: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    await this.pause();
    const directory = this.#directory;
    await saveState(this.#control, { directory, statePath, memoryInState: true, ...options });
  }

  /** Brings a QEMU that waits for a state to where that was saved. */
  async load(spec: VmSpec, from: SavedState, signal: AbortSignal | undefined): Promise<void> {
    const { memoryInState = spec.memory === undefined || spec.memory.kind === 'anonymous', paused = false } =
      from;
    const cancel = signal === undefined ? {} : { signal };
    await loadState(this.#control, { descriptor: STATE_FD, memoryInState, paused, ...cancel });
  }

  kill(): Promise<void> {
    this.#killing ??= this.#kill();
    return this.#killing;
  }

  /** QEMU writes its disks' caches out when it is asked to quit; only one that does not answer is killed. */
  async #kill(): Promise<void> {
    const asked = await this.#control.execute('quit', {}, { timeoutMs: QUIT_TIMEOUT_MS }).then(
      () => true,
      () => false,
    );
    const gone = asked && (await within(QUIT_TIMEOUT_MS, this.exited));
    if (!gone) await this.#vmm.terminate(TERM_GRACE_MS);
    await this.exited;
  }

  async release(): Promise<void> {
    this.#vmm.release();
    this.#control.close();
    this.#console.destroy();
    await this.#log.close();
  }

  async #finish(): Promise<VmExit & { readonly guestEnd: GuestEnd | undefined }> {
    const exit = await this.#vmm.exited;
    await this.#log.close();
    this.#control.close();
    const panicked = this.#log.tail(PANIC_CONSOLE_BYTES).includes('Kernel panic - not syncing');
    return { ...exit, guestEnd: panicked ? 'panic' : this.#guestEnd };
  }
}
