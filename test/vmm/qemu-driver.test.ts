import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createQemuDriver, type VmSpec, vmExitedError } from '../../src/vmm/index.js';
import { quickest } from '../support/timing.js';
import { isRunning, openScratch, type Scratch } from './support.js';

describe('the QEMU driver with a stand-in for QEMU', () => {
  let scratch: Scratch;
  beforeEach(async () => {
    scratch = await openScratch();
  });
  afterEach(() => scratch.remove());

  const start = async (behaviour: string, changes: Partial<VmSpec> = {}, signal?: AbortSignal) =>
    await createQemuDriver({ binary: await scratch.fake(behaviour) }).start(
      await scratch.spec(changes),
      signal === undefined ? {} : { signal },
    );
  /** Processes of this test's stand-ins. */
  const left = (): string =>
    spawnSync('ps', ['-e', '-o', 'args='])
      .stdout.toString()
      .split('\n')
      .filter((line) => line.includes(scratch.directory))
      .join('\n');

  const disk = { path: '/nonexistent/disk', format: 'raw', readOnly: false } as const;

  it('carries bytes both ways and ends in order', async () => {
    const vm = await start('well', { disks: [disk] });
    expect(isRunning(vm.pid)).toBe(true);
    vm.channel.write('hello');
    expect(String((await once(vm.channel, 'data'))[0])).toBe('hello');
    await vm.kill();
    await vm.kill();
    expect(await vm.exited).toEqual({ exitCode: 0, signal: null, stderr: '' });
    expect(isRunning(vm.pid)).toBe(false);
  });

  it.each([
    ['no disk', []],
    [
      'only disks that nobody needs',
      [
        { ...disk, disposable: true },
        { ...disk, readOnly: true },
      ],
    ],
  ] as const)('ends at once a VM with %s', async (_name, disks) => {
    const vm = await start('well', { disks });
    await vm.kill();
    await vm.kill();
    expect(await vm.exited).toEqual({ exitCode: null, signal: 'SIGKILL', stderr: '' });
    expect(isRunning(vm.pid)).toBe(false);
  });

  it('gives the VMM nothing of our environment', async () => {
    process.env.HEARTH_TEST_SECRET = 'secret';
    const vm = await start('well');
    const environment = await readFile(`/proc/${vm.pid}/environ`, 'latin1');
    await vm.kill();
    delete process.env.HEARTH_TEST_SECRET;
    expect(environment.split('\0').map((entry) => entry.split('=', 1)[0])).toEqual(
      expect.not.arrayContaining(['HEARTH_TEST_SECRET']),
    );
  });

  it('says when QEMU is not installed', async () => {
    const driver = createQemuDriver({ binary: 'qemu-system-nowhere' });
    const missing = {
      code: 'VMM_NOT_FOUND',
      hint: expect.stringContaining('apt-get install qemu-system-x86'),
    };
    await expect(driver.start(await scratch.spec())).rejects.toMatchObject(missing);
    await expect(driver.version()).rejects.toMatchObject(missing);
  });

  const failures: ReadonlyArray<[behaviour: string, code: string, changes?: Partial<VmSpec>]> = [
    ['no-disk', 'VM_EXITED'],
    ['no-kvm', 'VM_EXITED'],
    ['no-kvm', 'KVM_UNAVAILABLE', { accelerator: 'kvm' }],
    ['old', 'VMM_VERSION_UNSUPPORTED'],
    ['garbage', 'VMM_RESPONSE_INVALID'],
    ['endless', 'VMM_RESPONSE_INVALID'],
  ];
  it.each(failures)('%s: fails with %s at once and leaves no process', async (behaviour, code, changes) => {
    const startedAt = performance.now();
    await expect(start(behaviour, changes)).rejects.toMatchObject({ code });
    expect(performance.now() - startedAt).toBeLessThan(60_000);
    expect(left()).toBe('');
  });

  it('shows what QEMU said when it ends at once', async () => {
    await expect(start('no-disk')).rejects.toMatchObject({
      details: { exitCode: 1, signal: null, stderr: expect.stringContaining('could not open disk image') },
    });
  });

  it('asks for a newer QEMU by number', async () => {
    const old = await scratch.script('old-version', 'echo "QEMU emulator version 6.2.0 (Debian)"');
    await expect(createQemuDriver({ binary: old }).version()).rejects.toMatchObject({
      code: 'VMM_VERSION_UNSUPPORTED',
      details: { version: '6.2.0', expected: '7.2' },
    });
    const fresh = await scratch.script('new-version', 'echo "QEMU emulator version 10.0.2 (Debian)"');
    expect(await createQemuDriver({ binary: fresh }).version()).toBe('10.0.2');
  });

  it('stops waiting for a silent QEMU when it is cancelled', async () => {
    const controller = new AbortController();
    const starting = start('silent', {}, controller.signal);
    const reason = new Error('enough');
    setTimeout(() => controller.abort(reason), 300);
    await expect(starting).rejects.toBe(reason);
    expect(left()).toBe('');
  });

  it('tells the end of a guest that panics, with its last words made safe', async () => {
    const vm = await start('panic');
    const ended = once(vm.channel.resume(), 'close');
    vm.channel.write('now');
    await ended;
    expect(await vmExitedError(vm)).toMatchObject({
      code: 'VM_EXITED',
      details: {
        exitCode: 0,
        consoleTail: '[    0.1] Kernel panic - not syncing: \\x1b[31mno init\n',
      },
    });
  });

  it('tells within two seconds that the VMM was killed', async () => {
    const killed = async (): Promise<number> => {
      const vm = await start('well');
      const startedAt = performance.now();
      process.kill(vm.pid, 'SIGKILL');
      expect(await vm.exited).toMatchObject({ exitCode: null, signal: 'SIGKILL' });
      const tookMs = performance.now() - startedAt;
      await vm.kill();
      await expect(vm.pause()).rejects.toMatchObject({ code: 'VMM_REQUEST_FAILED' });
      return tookMs;
    };
    expect(await quickest(2000, killed)).toBeLessThan(2000);
  });

  it.each(['a VMM that ignores everything', 'a stopped VMM'])('ends %s within its limits', async (name) => {
    const vm = await start('stuck');
    if (name === 'a stopped VMM') process.kill(vm.pid, 'SIGSTOP');
    const startedAt = performance.now();
    await vm.kill();
    expect(performance.now() - startedAt).toBeLessThan(60_000);
    expect(await vm.exited).toMatchObject({ signal: 'SIGKILL' });
  });

  it('leaves only the console in the VM’s directory', async () => {
    const spec = await scratch.spec();
    const driver = createQemuDriver({ binary: await scratch.fake('well') });
    {
      await using vm = await driver.start(spec);
      expect(vm.pid).toBeGreaterThan(1);
    }
    expect((await readdir(spec.directory)).filter((name) => name !== 'console.log')).toEqual([]);
  });

  it('starts and ends fifty VMs without keeping a descriptor', async () => {
    await (await start('well')).kill();
    const before = (await readdir('/proc/self/fd')).length;
    for (let round = 0; round < 5; round += 1) {
      const vms = await Promise.all(Array.from({ length: 10 }, () => start('well')));
      await Promise.all(vms.map((vm) => vm.kill()));
    }
    await expect.poll(async () => (await readdir('/proc/self/fd')).length).toBeLessThanOrEqual(before + 1);
    expect(left()).toBe('');
  });
});
