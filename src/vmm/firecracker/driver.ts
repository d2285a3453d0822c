/**
 * The driver for Firecracker: raw disks, KVM only, the agent's channel over vsock. Its jailer is not used: it
 * needs root. Firecracker's own seccomp filters are on.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HearthError } from '../../errors/index.js';
import { runTool } from '../../subprocess/index.js';
import { ConsoleLog } from '../console-log.js';
import type { Vm, VmDriver, VmSpec } from '../driver.js';
import { exitError } from '../errors.js';
import { findExecutable } from '../executable.js';
import { SocketDirectory } from '../socket-directory.js';
import { assertSpec } from '../spec.js';
import { startVmmProcess, type VmmProcess } from '../vmm-process.js';
import { FirecrackerApi } from './api.js';
import { assertFirecrackerSpec, configurationOf } from './configuration.js';
import { FirecrackerVm } from './vm.js';
import { connectVsock } from './vsock.js';

export interface FirecrackerDriverOptions {
  /** Name or path of the program. Default `firecracker`. */
  readonly binary?: string;
}

/** The guest's vsock port on which the agent waits for its host. */
export const AGENT_VSOCK_PORT = 1024;

const DEFAULT_BINARY = 'firecracker';
/** The first version that describes its devices to the guest by ACPI, which distributions' kernels need. */
const MIN_VERSION = [1, 8] as const;
const API_TIMEOUT_MS = 10_000;
const LOAD_TIMEOUT_MS = 60_000;
const AGENT_TIMEOUT_MS = 60_000;
const API_POLL_MS = 5;
const AGENT_POLL_MS = 20;
const API_SOCKET = 'api.sock';
const VSOCK_SOCKET = 'vsock.sock';
const CONSOLE_FILE = 'console.log';
const SHOWN_CONSOLE_BYTES = 2048;
const TERM_GRACE_MS = 2000;

/**
 * `start` resolves once the agent listens, for only then can its channel be connected; it asks again until
 * then, for at most 60 s.
 */
export function createFirecrackerDriver(options: FirecrackerDriverOptions = {}): VmDriver {
  const binary = options.binary ?? DEFAULT_BINARY;
  return {
    name: 'firecracker',
    version: () => installedVersion(binary),
    start: (spec, startOptions = {}) => startVm(binary, spec, startOptions.signal),
  };
}

async function startVm(binary: string, spec: VmSpec, signal: AbortSignal | undefined): Promise<Vm> {
  signal?.throwIfAborted();
  assertSpec(spec);
  assertFirecrackerSpec(spec);
  const command = await locate(binary);
  const sockets = await SocketDirectory.open(spec.directory);
  let vmm: VmmProcess | undefined;
  let log: ConsoleLog | undefined;
  // What we wait for ends early when the VMM does.
  const ended = new AbortController();
  const waiting = signal === undefined ? ended.signal : AbortSignal.any([signal, ended.signal]);
  try {
    const args = ['--api-sock', API_SOCKET, '--level', 'Error'];
    vmm = await startVmmProcess({ command, args, directory: spec.directory, socketCount: 0, stdout: true });
    void vmm.exited.then(() => ended.abort());
    log = ConsoleLog.record(vmm.stdout, join(spec.directory, CONSOLE_FILE));
    const api = new FirecrackerApi(sockets.address(API_SOCKET));
    assertVersion(await versionOnceReady(api, waiting));
    await configure(api, spec, waiting);
    const channel = await connectAgent(sockets.address(VSOCK_SOCKET), waiting);
    return new FirecrackerVm({
      spec,
      vmm,
      api,
      sockets,
      channel,
      log,
      socketNames: [API_SOCKET, VSOCK_SOCKET],
    });
  } catch (error) {
    const endedByItself = ended.signal.aborted && signal?.aborted !== true;
    await vmm?.terminate(endedByItself ? TERM_GRACE_MS : 0);
    await log?.close();
    await FirecrackerVm.removeSockets(spec.directory, [API_SOCKET, VSOCK_SOCKET]);
    await sockets[Symbol.asyncDispose]();
    signal?.throwIfAborted();
    if (vmm === undefined || !endedByItself) throw error;
    throw exitError(await vmm.exited, log?.tail(SHOWN_CONSOLE_BYTES) ?? '');
  }
}

async function configure(api: FirecrackerApi, spec: VmSpec, signal: AbortSignal): Promise<void> {
  const { memory, resumeFrom } = spec;
  if (resumeFrom !== undefined && memory !== undefined && memory.kind !== 'anonymous') {
    const params = {
      snapshot_path: resumeFrom.statePath,
      mem_backend: { backend_type: 'File', backend_path: memory.path },
      resume_vm: true,
    } as const;
    await api.put('/snapshot/load', params, { timeoutMs: LOAD_TIMEOUT_MS, signal });
    return;
  }
  const { machine, boot, drives, vsock } = configurationOf(spec, VSOCK_SOCKET, AGENT_VSOCK_PORT);
  await api.put('/machine-config', machine, { signal });
  await api.put('/boot-source', boot, { signal });
  for (const drive of drives) await api.putDrive(drive, { signal });
  await api.put('/vsock', vsock, { signal });
  await api.put('/entropy', {}, { signal });
  await api.put('/actions', { action_type: 'InstanceStart' }, { timeoutMs: LOAD_TIMEOUT_MS, signal });
}

/** Asks until the API's socket is there and somebody listens on it. */
async function versionOnceReady(api: FirecrackerApi, signal: AbortSignal): Promise<string> {
  const deadline = performance.now() + API_TIMEOUT_MS;
  for (;;) {
    try {
      return await api.version({ signal });
    } catch (error) {
      const errno = HearthError.is(error) ? error.details.errno : undefined;
      const early = errno === 'ENOENT' || errno === 'ECONNREFUSED';
      if (!early || performance.now() > deadline) throw error;
    }
    await sleep(API_POLL_MS, undefined, { signal });
  }
}

async function connectAgent(address: string, signal: AbortSignal): Promise<Vm['channel']> {
  const deadline = performance.now() + AGENT_TIMEOUT_MS;
  while (performance.now() < deadline) {
    signal.throwIfAborted();
    const channel = await connectVsock(address, AGENT_VSOCK_PORT, signal);
    if (channel !== undefined) return channel;
    await sleep(AGENT_POLL_MS, undefined, { signal });
  }
  throw new HearthError('VMM_TIMEOUT', `nothing in the guest listened within ${AGENT_TIMEOUT_MS} ms`, {
    hint: 'Look at the console of the VM; its initrd needs the agent and the module vmw_vsock_virtio_transport.',
    details: { what: 'the agent', timeoutMs: AGENT_TIMEOUT_MS },
  });
}

async function locate(binary: string): Promise<string> {
  const command = await findExecutable(binary, process.env.PATH);
  if (command !== undefined) return command;
  throw new HearthError('VMM_NOT_FOUND', `${binary} is not installed`, {
    hint: 'Install Firecracker 1.8 or newer to a directory in $PATH, or use QEMU.',
    details: { binary },
  });
}

async function installedVersion(binary: string): Promise<string> {
  const { stdout } = await runTool(await locate(binary), ['--version']);
  const version = /v(\d+\.\d+\.\d+)/.exec(stdout.toString('utf8'))?.[1] ?? '0.0.0';
  assertVersion(version);
  return version;
}

function assertVersion(version: string): void {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > MIN_VERSION[0] || (major === MIN_VERSION[0] && minor >= MIN_VERSION[1])) return;
  const expected = MIN_VERSION.join('.');
  throw new HearthError(
    'VMM_VERSION_UNSUPPORTED',
    `Firecracker ${version} is too old, ${expected} is needed`,
    {
      hint: `Install Firecracker ${expected} or newer.`,
      details: { version, expected },
    },
  );
}
