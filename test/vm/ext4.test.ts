/** Images of our writer as the root of a running guest: written to, grown online, cut off, and still clean. */
import { mkdirSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type AgentClient, connectAgent } from '../../src/agent/index.js';
import type { Ext4Node } from '../../src/ext4/index.js';
import { DEFAULT_KERNEL_NAME, ensureInitrd, openKernelStore } from '../../src/kernels/index.js';
import { createQemuDriver, type Vm } from '../../src/vmm/index.js';
import { build, debugfs, directory, expectClean, file, run, Scratch, symlink } from '../ext4/support.js';
import { AGENT_PATH, execute } from '../support/agent.js';
import { SHARED_HOME } from '../support/cli.js';

const GIB = 2 ** 30;
const COPY = 'dd bs=1M';
const COMPLAINT = /EXT4-fs (error|warning)|JBD2.*error/;
const BOOT_TIMEOUT_MS = 60_000;
const APPLETS = ['sh', 'dd', 'rm', 'sync', 'df', 'mkdir', 'md5sum'];

function writeRoot(image: string, sizeBytes: number): void {
  const busybox = readFileSync('/bin/busybox');
  build(
    image,
    (writer) => {
      const bin = new Map<string, Ext4Node>([['busybox', file(writer.writeFile(busybox), { mode: 0o755 })]]);
      for (const name of APPLETS) bin.set(name, symlink('busybox'));
      const empty = ['root', 'tmp', 'etc', 'proc', 'sys', 'dev', 'run'];
      const root = directory(Object.fromEntries(empty.map((name) => [name, directory()])));
      root.children.set('bin', { ...directory(), children: bin });
      return root;
    },
    { sizeBytes },
  );
}

async function boot(scratch: Scratch, image: string): Promise<{ vm: Vm; client: AgentClient }> {
  const kernel = await openKernelStore(join(SHARED_HOME, 'data/kernels')).ensure(DEFAULT_KERNEL_NAME);
  const initrd = await ensureInitrd(kernel, {
    agentPath: AGENT_PATH,
    cacheDirectory: scratch.file('initrd'),
  });
  mkdirSync(scratch.file('vm'), { mode: 0o700 });
  const vm = await createQemuDriver().start({
    directory: scratch.file('vm'),
    kernelPath: kernel.vmlinuxPath,
    initrdPath: initrd.path,
    kernelArgs: [],
    cpus: 1,
    memoryMib: 256,
    disks: [{ path: image, format: 'raw', readOnly: false }],
    accelerator: 'tcg',
  });
  try {
    return { vm, client: await connectAgent(vm.channel, { timeoutMs: BOOT_TIMEOUT_MS }) };
  } catch (error) {
    await vm.kill();
    throw error;
  }
}

async function shell(client: AgentClient, script: string): Promise<string> {
  const { stdout, exit } = await execute(client, { argv: ['sh', '-c', script] });
  expect(exit).toMatchObject({ exitCode: 0 });
  return stdout;
}

describe('a guest whose root is an image of ours', () => {
  it.each([
    ['1 GiB to 64 GiB', GIB, 64 * GIB],
    ['1 GiB to 1.25 TiB, past the reserved descriptor blocks', GIB, 1280 * GIB],
    ['130 MiB to 8 GiB + 4 KiB', 130 * 2 ** 20, 8 * GIB + 4096],
  ])('grows it while it runs: %s', async (_name, from, to) => {
    using scratch = new Scratch();
    const image = scratch.file('root.ext4');
    writeRoot(image, from);
    truncateSync(image, to);
    const { vm, client } = await boot(scratch, image);
    try {
      await shell(
        client,
        `mkdir /d && for i in 1 2 3; do ${COPY} if=/dev/urandom of=/d/$i count=4; done && sync`,
      );
      const before = await shell(client, 'md5sum /d/*');
      expect(await client.growRoot({ timeoutMs: 120_000 })).toBeGreaterThan(to - 16 * 2 ** 20);
      expect(await shell(client, 'md5sum /d/*')).toBe(before);
      await shell(client, `${COPY} if=/dev/zero of=/d/more count=20 && rm /d/1 && sync`);
      await client.shutdown();
      await vm.exited;
      expect(await vm.consoleTail(65_536)).not.toMatch(COMPLAINT);
    } finally {
      await vm.kill();
    }
    expectClean(image);
    const blockCount = Number(/^Block count: +(\d+)$/m.exec(run('dumpe2fs', ['-h', image]))?.[1]);
    expect(blockCount * 4096).toBeGreaterThan(to - 16 * 2 ** 20);
    expect(debugfs(image, 'stat /d/more')).toContain(`Size: ${20 * 2 ** 20}`);
  });

  it('loses nothing that was synced when it is killed', async () => {
    using scratch = new Scratch();
    const image = scratch.file('root.ext4');
    writeRoot(image, GIB);
    const { vm, client } = await boot(scratch, image);
    try {
      await shell(
        client,
        'mkdir /d && for i in 1 2 3 4 5 6 7 8 9; do echo $i > /d/$i; done && sync && rm /d/3 && sync',
      );
      await shell(client, 'for i in 1 2 3 4 5 6 7 8 9; do echo $i > /d/late-$i; done');
    } finally {
      await vm.kill();
    }
    expect(run('dumpe2fs', ['-h', image])).toContain('needs_recovery');
    // e2fsck replays the journal, as the next mount would; 1 says that it has.
    run('sh', ['-c', `e2fsck -p "${image}" || [ $? -eq 1 ]`]);
    expectClean(image);
    expect(debugfs(image, 'cat /d/9')).toContain('9\n');
    expect(debugfs(image, 'ls /d')).not.toMatch(/ 3 /);
  });
});
