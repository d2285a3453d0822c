/** The guest agent as PID 1 of a small VM whose only other software is BusyBox. */
import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type AgentClient, connectAgent } from '../../src/agent/index.js';
import { DEFAULT_KERNEL_NAME, ensureInitrd, openKernelStore } from '../../src/kernels/index.js';
import { createQemuDriver, type Vm } from '../../src/vmm/index.js';
import { AGENT_PATH } from './agent.js';
import { SHARED_HOME } from './cli.js';

const run = promisify(execFile);
const BOOT_TIMEOUT_MS = 60_000;

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
  readonly agentPath?: string;
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
    agentPath: options.agentPath ?? AGENT_PATH,
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
