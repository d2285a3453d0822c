/** VMs of the QEMU driver with the real kernel and agent, and a root file system of BusyBox alone. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type AgentClient, connectAgent } from '../../src/agent/index.js';
import { DEFAULT_KERNEL_NAME, ensureInitrd, openKernelStore } from '../../src/kernels/index.js';
import { createQemuDriver, type Vm, type VmDisk, type VmSpec } from '../../src/vmm/index.js';
import { AGENT_PATH, execute } from '../support/agent.js';
import { SHARED_HOME } from '../support/cli.js';

const run = promisify(execFile);
const AGENT_TIMEOUT_MS = 90_000;
const TOOLS = ['sh', 'cat', 'nproc', 'ls', 'dd', 'sleep', 'date', 'sync', 'uname', 'head', 'md5sum', 'wc'];

export interface BootLab {
  readonly directory: string;
  readonly rootPath: string;
  /** A specification with a fresh directory, the kernel, the agent's initrd and one disk. */
  spec(changes?: Partial<VmSpec>): Promise<VmSpec>;
  /** A new qcow2 overlay. */
  overlay(backing: string, format: VmDisk['format']): Promise<VmDisk>;
  close(): Promise<void>;
}

export async function openBootLab(): Promise<BootLab> {
  const directory = await mkdtemp(join(tmpdir(), 'hearth-boot-'));
  const kernel = await openKernelStore(join(SHARED_HOME, 'data/kernels')).ensure(DEFAULT_KERNEL_NAME);
  const initrd = await ensureInitrd(kernel, {
    agentPath: AGENT_PATH,
    cacheDirectory: join(directory, 'initrd'),
  });
  const rootPath = await makeRoot(directory);
  let count = 0;
  const fresh = (): string => {
    count += 1;
    return join(directory, `${count}`);
  };
  return {
    directory,
    rootPath,
    spec: async (changes = {}) => {
      const vmDirectory = fresh();
      await mkdir(vmDirectory, { mode: 0o700 });
      return {
        directory: vmDirectory,
        kernelPath: kernel.vmlinuxPath,
        initrdPath: initrd.path,
        kernelArgs: [],
        cpus: 1,
        memoryMib: 192,
        disks: [{ path: rootPath, format: 'raw', readOnly: false, disposable: true }],
        accelerator: 'tcg',
        ...changes,
      };
    },
    overlay: async (backing, format) => {
      const path = `${fresh()}.qcow2`;
      await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', format, '-b', backing, path]);
      return { path, format: 'qcow2', readOnly: false, disposable: true };
    },
    close: () => rm(directory, { recursive: true, force: true }),
  };
}

async function makeRoot(directory: string): Promise<string> {
  const root = join(directory, 'root');
  const image = join(directory, 'root.ext4');
  for (const path of ['bin', 'etc', 'proc', 'sys', 'dev', 'run', 'tmp']) {
    await mkdir(join(root, path), { recursive: true });
  }
  await copyFile('/bin/busybox', join(root, 'bin/busybox'));
  for (const tool of TOOLS) await symlink('busybox', join(root, 'bin', tool));
  await writeFile(image, '');
  await truncate(image, 32 * 1024 * 1024);
  await run('mkfs.ext4', ['-q', '-F', '-E', 'root_owner=0:0', '-d', root, image], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  });
  return image;
}

export interface Guest extends AsyncDisposable {
  readonly vm: Vm;
  readonly agent: AgentClient;
  /** What a shell script writes to stdout, trimmed. */
  shell(script: string): Promise<string>;
}

/** Starts a VM and greets its agent. */
export async function startGuest(spec: VmSpec): Promise<Guest> {
  const vm = await createQemuDriver().start(spec);
  try {
    const agent = await connectAgent(vm.channel, { timeoutMs: AGENT_TIMEOUT_MS });
    return {
      vm,
      agent,
      shell: async (script) => {
        const { stdout, stderr, exit } = await execute(agent, {
          argv: ['/bin/sh', '-c', script],
          env: { PATH: '/bin' },
        });
        if (stderr !== '') throw new Error(`${script}: ${stderr} (${JSON.stringify(exit)})`);
        return stdout.trim();
      },
      [Symbol.asyncDispose]: async () => {
        agent.close();
        await vm.kill();
      },
    };
  } catch (error) {
    const said = await vm.consoleTail(4096);
    await vm.kill();
    throw new Error(`the VM has not booted; its console:\n${said}`, { cause: error });
  }
}
