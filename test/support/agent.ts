/** The guest agent under test: as an ordinary process, or as PID 1 of a small VM. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  type AgentClient,
  type ConnectOptions,
  connectAgent,
  type ExecExit,
  type ExecSpec,
  type GuestProcess,
} from '../../src/agent/index.js';
import { DEFAULT_KERNEL_NAME, ensureInitrd, openKernelStore } from '../../src/kernels/index.js';
import { createQemuDriver, type Vm } from '../../src/vmm/index.js';
import { REPOSITORY, SHARED_HOME } from './cli.js';

const run = promisify(execFile);
export const AGENT_PATH = `${REPOSITORY}build/agent/hearth-agent`;
/** The same agent under AddressSanitizer and UndefinedBehaviorSanitizer. */
const SANITIZED_AGENT_PATH = `${AGENT_PATH}-sanitized`;
const BOOT_TIMEOUT_MS = 60_000;

/** Both builds of the agent, for `describe.each`. */
export const AGENTS: readonly (readonly [name: string, path: string])[] = [
  ['the agent', AGENT_PATH],
  ['the agent under sanitizers', SANITIZED_AGENT_PATH],
];

/** Builds both agents unless they are up to date. */
export async function buildAgents(): Promise<void> {
  await run('make', ['-C', `${REPOSITORY}guest/agent`, 'all', 'sanitized']);
}

export interface LocalAgent {
  readonly client: AgentClient;
  readonly process: ChildProcess;
  /** Closes the channel and waits for the agent's end, which must be clean. */
  close(): Promise<void>;
}

/** The built agent as a child process, serving on a socket pair. */
export function spawnAgent(path = AGENT_PATH): { process: ChildProcess; channel: Duplex } {
  const child = spawn(path, ['--serve-fd', '3'], {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    env: {},
  });
  return { process: child, channel: child.stdio[3] as Duplex };
}

export async function startLocalAgent(
  options: ConnectOptions & { readonly path?: string } = {},
): Promise<LocalAgent> {
  const { process: child, channel } = spawnAgent(options.path);
  const ended = once(child, 'exit');
  const client = await connectAgent(channel, { timeoutMs: 10_000, ...options });
  return {
    client,
    process: child,
    close: async () => {
      client.close();
      const [exitCode] = await ended;
      if (exitCode !== 0) throw new Error(`the agent ended with ${exitCode}`);
    },
  };
}

export interface Collected {
  readonly stdout: string;
  readonly stderr: string;
  readonly exit: ExecExit;
}

export async function collect(process: GuestProcess): Promise<Collected> {
  const [stdout, stderr, exit] = await Promise.all([
    buffer(process.stdout),
    buffer(process.stderr),
    process.exited,
  ]);
  return { stdout: stdout.toString('latin1'), stderr: stderr.toString('latin1'), exit };
}

/** A shell script as a command. */
export const shell = (script: string) => ({
  argv: ['/bin/sh', '-c', script],
  env: { PATH: '/usr/bin:/bin' },
});

export async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await condition()) return;
    await sleep(25);
  }
  throw new Error(`not within 5 s: ${what}`);
}

/** Runs a command to its end; PATH is the tester's unless the spec has one. */
export async function execute(client: AgentClient, spec: ExecSpec, input?: string): Promise<Collected> {
  const guest = client.exec(input === undefined ? spec : { ...spec, stdin: true });
  if (input !== undefined) guest.stdin?.end(input);
  return await collect(guest);
}

const PASSWD = [
  'root:x:0:0:root:/root:/bin/sh',
  'daemon:x:1:1:daemon:/usr/sbin:/bin/false',
  'alice:x:1000:1000::/home/alice:/bin/sh',
];
const GROUP = ['root:x:0:', 'daemon:x:1:', 'alice:x:1000:', 'wheel:x:10:alice', 'audio:x:29:root,alice'];

/** A root file system of BusyBox and two users, as an ext4 image of `sizeMib`. */
async function makeRoot(directory: string, sizeMib: number): Promise<string> {
  const root = join(directory, 'root');
  const image = join(directory, 'root.ext4');
  for (const path of ['bin', 'etc', 'root', 'tmp', 'home/alice', 'proc', 'sys', 'dev', 'run']) {
    await mkdir(join(root, path), { recursive: true });
  }
  await copyFile('/bin/busybox', join(root, 'bin/busybox'));
  await chmod(join(root, 'bin/busybox'), 0o755);
  const { stdout } = await run('/bin/busybox', ['--list']);
  for (const name of stdout.split('\n')) {
    if (name !== '' && name !== 'busybox') await symlink('busybox', join(root, 'bin', name));
  }
  await writeFile(join(root, 'etc/passwd'), `${PASSWD.join('\n')}\n`);
  await writeFile(join(root, 'etc/group'), `${GROUP.join('\n')}\n`);
  await writeFile(image, '');
  await truncate(image, sizeMib * 1024 * 1024);
  await run(
    'mkfs.ext4',
    ['-q', '-F', '-E', 'root_owner=0:0', '-O', 'resize_inode,^metadata_csum_seed', '-d', root, image],
    {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    },
  );
  return image;
}

export interface AgentVm {
  readonly vm: Vm;
  readonly client: AgentClient;
  readonly directory: string;
  readonly imagePath: string;
  close(): Promise<void>;
}

export interface AgentVmOptions {
  readonly kernelArgs?: readonly string[];
  readonly memoryMib?: number;
  /** Size of the disk, of which the file system takes `rootMib`. */
  readonly diskMib?: number;
  readonly rootMib?: number;
}

/** Boots a VM whose only software is the agent and BusyBox. */
export async function bootAgentVm(options: AgentVmOptions = {}): Promise<AgentVm> {
  const { memoryMib = 192, rootMib = 64, diskMib = rootMib, kernelArgs = [] } = options;
  const directory = await mkdtemp(join(tmpdir(), 'hearth-agent-vm-'));
  const kernel = await openKernelStore(join(SHARED_HOME, 'data/kernels')).ensure(DEFAULT_KERNEL_NAME);
  const initrd = await ensureInitrd(kernel, {
    agentPath: AGENT_PATH,
    cacheDirectory: join(directory, 'initrd'),
  });
  const imagePath = await makeRoot(directory, rootMib);
  await truncate(imagePath, diskMib * 1024 * 1024);
  const vmDirectory = join(directory, 'vm');
  await mkdir(vmDirectory, { mode: 0o700 });
  const vm = await createQemuDriver().start({
    directory: vmDirectory,
    kernelPath: kernel.vmlinuxPath,
    initrdPath: initrd.path,
    kernelArgs,
    cpus: 1,
    memoryMib,
    disks: [{ path: imagePath, format: 'raw', readOnly: false }],
    accelerator: 'tcg',
  });
  const close = async (): Promise<void> => {
    await vm.kill();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const client = await connectAgent(vm.channel, { timeoutMs: BOOT_TIMEOUT_MS });
    return { vm, client, directory, imagePath, close };
  } catch (error) {
    const console = await vm.consoleTail(4096);
    await close();
    throw new Error(`the VM has not booted; its console:\n${console}`, { cause: error });
  }
}
