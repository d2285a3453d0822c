/** The driver for QEMU: an unprivileged process per VM, reached through sockets that only we hold. */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, HearthError } from '../../errors/index.js';
import { runTool } from '../../subprocess/index.js';
import { ConsoleLog } from '../console-log.js';
import type { StartVmOptions, Vm, VmDriver, VmExit, VmSpec } from '../driver.js';
import { exitError } from '../errors.js';
import { findExecutable } from '../executable.js';
import { hostTscKhz } from '../host-tsc.js';
import { assertSpec } from '../spec.js';
import { startVmmProcess, type VmmProcess } from '../vmm-process.js';
import { qemuArguments } from './command-line.js';
import { assertPrivateMemory, privateMemoryEnvironment } from './private-memory.js';
import { QmpClient } from './qmp.js';
import { loadState } from './saved-state.js';
import { QemuVm } from './vm.js';

export interface QemuDriverOptions {
  /** Name or path of the program. Default `qemu-system-x86_64`. */
  readonly binary?: string;
}

export const DEFAULT_QEMU_BINARY = 'qemu-system-x86_64';
const MIN_VERSION = [7, 2] as const;
const START_TIMEOUT_MS = 30_000;
const TERM_GRACE_MS = 2000;
const CONSOLE_FILE = 'console.log';
const SHOWN_CONSOLE_BYTES = 2048;
/** The sockets in the order of their descriptors, then the saved state, if any. */
const ENDPOINTS = {
  control: { kind: 'descriptor', descriptor: 3 },
  agent: { kind: 'descriptor', descriptor: 4 },
  console: { kind: 'descriptor', descriptor: 5 },
} as const;
const STATE_FD = 6;

export function createQemuDriver(options: QemuDriverOptions = {}): VmDriver {
  const binary = options.binary ?? DEFAULT_QEMU_BINARY;
  return {
    name: 'qemu',
    version: () => installedVersion(binary),
    start: (spec, startOptions = {}) => startVm(binary, spec, startOptions),
  };
}

async function startVm(binary: string, spec: VmSpec, { signal, onSpawn }: StartVmOptions): Promise<Vm> {
  signal?.throwIfAborted();
  assertSpec(spec);
  const command = await locate(binary);
  const state = spec.resumeFrom === undefined ? undefined : await openState(spec.resumeFrom.statePath);
  try {
    const args = qemuArguments(spec, ENDPOINTS, { tscKhz: await hostTscKhz() });
    const files = state === undefined ? [] : [state.fd];
    const env = await privateMemoryEnvironment(spec);
    const vmm = await startVmmProcess({
      command,
      args,
      directory: spec.directory,
      socketCount: 3,
      files,
      env,
    });
    onSpawn?.();
    return await takeControl(vmm, spec, signal);
  } finally {
    await state?.close();
  }
}

async function openState(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    throw fileError(error, path);
  }
}

/** Makes a VM of a process that has just started; ends the process when that fails. */
async function takeControl(vmm: VmmProcess, spec: VmSpec, signal: AbortSignal | undefined): Promise<Vm> {
  const [controlSocket, channel, consoleStream] = vmm.sockets;
  if (controlSocket === undefined || channel === undefined || consoleStream === undefined) {
    await vmm.terminate(0);
    throw new HearthError('INTERNAL', 'the sockets of the VMM are missing', { details: { pid: vmm.pid } });
  }
  let log: ConsoleLog | undefined;
  let control: QmpClient | undefined;
  try {
    const cancel = signal === undefined ? {} : { signal };
    // From its first byte on, before anything else is waited for.
    log = ConsoleLog.record(consoleStream, join(spec.directory, CONSOLE_FILE));
    const { client, version } = await QmpClient.open(controlSocket, {
      timeoutMs: START_TIMEOUT_MS,
      ...cancel,
    });
    control = client;
    assertVersion(version);
    if (spec.resumeFrom !== undefined) {
      const {
        memoryInState = spec.memory === undefined || spec.memory.kind === 'anonymous',
        paused = false,
      } = spec.resumeFrom;
      await assertPrivateMemory(spec, vmm.pid);
      const descriptor = STATE_FD;
      await loadState(control, { descriptor, memoryInState, paused, ...cancel });
    }
    return new QemuVm({ spec, vmm, control, channel, log });
  } catch (error) {
    const endedByItself = HearthError.is(error) && error.code === 'VMM_REQUEST_FAILED';
    const exit = await endOf(vmm, endedByItself);
    control?.close();
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
