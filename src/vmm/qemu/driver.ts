/** The driver for QEMU: an unprivileged process per VM, reached through sockets that only we hold. */
import { join } from 'node:path';
import { HearthError } from '../../errors/index.js';
import { runTool } from '../../subprocess/index.js';
import { ConsoleLog } from '../console-log.js';
import type { Vm, VmDriver, VmExit, VmSpec } from '../driver.js';
import { exitError } from '../errors.js';
import { findExecutable } from '../executable.js';
import { hostTscKhz } from '../host-tsc.js';
import { assertSpec } from '../spec.js';
import { startVmmProcess, type VmmProcess } from '../vmm-process.js';
import { qemuArguments } from './command-line.js';
import { QmpClient } from './qmp.js';

export interface QemuDriverOptions {
  /** Name or path of the program. Default `qemu-system-x86_64`. */
  readonly binary?: string;
}

export const DEFAULT_QEMU_BINARY = 'qemu-system-x86_64';
const MIN_VERSION = [7, 2] as const;
const START_TIMEOUT_MS = 30_000;
const QUIT_TIMEOUT_MS = 3000;
const TERM_GRACE_MS = 2000;
const CONSOLE_FILE = 'console.log';
const SHOWN_CONSOLE_BYTES = 2048;
const [CONTROL_FD, AGENT_FD, CONSOLE_FD] = [3, 4, 5];

export function createQemuDriver(options: QemuDriverOptions = {}): VmDriver {
  const binary = options.binary ?? DEFAULT_QEMU_BINARY;
  return {
    name: 'qemu',
    version: () => installedVersion(binary),
    start: (spec, startOptions = {}) => startVm(binary, spec, startOptions.signal),
  };
}

async function startVm(binary: string, spec: VmSpec, signal: AbortSignal | undefined): Promise<Vm> {
  signal?.throwIfAborted();
  assertSpec(spec);
  const command = await locate(binary);
  const descriptor = (number: number) => ({ kind: 'descriptor', descriptor: number }) as const;
  const endpoints = {
    control: descriptor(CONTROL_FD),
    agent: descriptor(AGENT_FD),
    console: descriptor(CONSOLE_FD),
  };
  const vmm = await startVmmProcess({
    command,
    args: qemuArguments(spec, endpoints, { tscKhz: await hostTscKhz() }),
    directory: spec.directory,
    socketCount: 3,
  });
  const [control, channel, consoleStream] = vmm.sockets;
  if (control === undefined || channel === undefined || consoleStream === undefined) {
    await vmm.terminate(0);
    throw new HearthError('INTERNAL', 'the sockets of the VMM are missing', { details: { pid: vmm.pid } });
  }
  let log: ConsoleLog | undefined;
  try {
    log = await ConsoleLog.record(consoleStream, join(spec.directory, CONSOLE_FILE));
    const opening = QmpClient.open(control, {
      timeoutMs: START_TIMEOUT_MS,
      ...(signal === undefined ? {} : { signal }),
    });
    const { client, version } = await opening;
    assertVersion(version);
    return new QemuVm(vmm, client, channel, log);
  } catch (error) {
    const endedByItself = HearthError.is(error) && error.code === 'VMM_REQUEST_FAILED';
    const exit = await endOf(vmm, endedByItself);
    await log?.close();
    if (!endedByItself) throw error;
    throw startError(spec, exit, log?.tail(SHOWN_CONSOLE_BYTES) ?? '');
  }
}

/** Waits for a process that is about to end, or ends one that is not. */
async function endOf(vmm: VmmProcess, endsByItself: boolean): Promise<VmExit> {
  if (!endsByItself) await vmm.terminate(0);
  else await vmm.terminate(TERM_GRACE_MS);
  return await vmm.exited;
}

function startError(spec: VmSpec, exit: VmExit, consoleTail: string): HearthError {
  if (spec.accelerator === 'kvm' && /\bkvm\b/i.test(exit.stderr)) {
    const reason = exit.stderr.trim();
    return new HearthError('KVM_UNAVAILABLE', `QEMU cannot use KVM: ${reason}`, {
      hint: 'Use `--accel auto` or `--accel tcg`, or get access to /dev/kvm (`sudo usermod -aG kvm $USER`, then log in again).',
      details: { reason },
    });
  }
  return exitError(exit, consoleTail);
}

class QemuVm implements Vm {
  readonly pid: number;
  readonly channel: Vm['channel'];
  readonly exited: Promise<VmExit>;
  readonly #vmm: VmmProcess;
  readonly #control: QmpClient;
  readonly #log: ConsoleLog;
  #killing: Promise<void> | undefined;

  constructor(vmm: VmmProcess, control: QmpClient, channel: Vm['channel'], log: ConsoleLog) {
    this.pid = vmm.pid;
    this.channel = channel;
    this.#vmm = vmm;
    this.#control = control;
    this.#log = log;
    this.exited = this.#finish();
  }

  async consoleTail(maxBytes: number): Promise<string> {
    return this.#log.tail(maxBytes);
  }

  kill(): Promise<void> {
    this.#killing ??= this.#kill();
    return this.#killing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  /** QEMU writes its disks' caches out when it is asked to quit; only one that does not answer is killed. */
  async #kill(): Promise<void> {
    const asked = this.#control.execute('quit', {}, { timeoutMs: QUIT_TIMEOUT_MS }).then(
      () => true,
      () => false,
    );
    const gone = this.exited.then(() => true);
    const limit = (await asked) ? QUIT_TIMEOUT_MS : 0;
    if (!(await Promise.race([gone, after(limit)]))) await this.#vmm.terminate(TERM_GRACE_MS);
    await this.exited;
  }

  /** Frees what the VM held, once its process is gone. */
  async #finish(): Promise<VmExit> {
    const exit = await this.#vmm.exited;
    await this.#log.close();
    this.#control.close();
    return exit;
  }
}

function after(timeoutMs: number): Promise<false> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(false), timeoutMs).unref();
  });
}

async function locate(binary: string): Promise<string> {
  const command = await findExecutable(binary, process.env.PATH);
  if (command !== undefined) return command;
  throw new HearthError('VMM_NOT_FOUND', `${binary} is not installed`, {
    hint: 'Install QEMU: `apt-get install qemu-system-x86` (as root).',
    details: { binary },
  });
}

async function installedVersion(binary: string): Promise<string> {
  const { stdout } = await runTool(await locate(binary), ['--version']);
  const version = /version (\d+\.\d+\.\d+)/.exec(stdout.toString('utf8'))?.[1] ?? '0.0.0';
  assertVersion(version);
  return version;
}

function assertVersion(version: string): void {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > MIN_VERSION[0] || (major === MIN_VERSION[0] && minor >= MIN_VERSION[1])) return;
  const expected = MIN_VERSION.join('.');
  throw new HearthError('VMM_VERSION_UNSUPPORTED', `QEMU ${version} is too old, ${expected} is needed`, {
    hint: `Install QEMU ${expected} or newer.`,
    details: { version, expected },
  });
}
