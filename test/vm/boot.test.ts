/** The QEMU driver with real guests. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, readdir, readFile, readlink, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createQemuDriver,
  resolveAccelerator,
  separateMemory,
  type VmDisk,
  vmExitedError,
} from '../../src/vmm/index.js';
import { REPOSITORY } from '../support/cli.js';
import { isRunning, openScratch } from '../vmm/support.js';
import { type BootLab, openBootLab, startGuest } from './boot-support.js';

describe('a VM of the QEMU driver', () => {
  let lab: BootLab;
  beforeAll(async () => {
    lab = await openBootLab();
  });
  afterAll(() => lab?.close());

  it('boots with the CPUs, memory and disks it was given, in their order', async () => {
    const second = join(lab.directory, 'second, with "odd" name');
    await writeFile(second, 'second disk');
    await truncate(second, 3 * 1024 * 1024);
    const spec = await lab.spec();
    const root = await lab.overlay(lab.rootPath, 'raw');
    await using guest = await startGuest({
      ...spec,
      cpus: 2,
      disks: [root, { path: second, format: 'raw', readOnly: true }],
    });
    expect(await guest.shell('nproc')).toBe('2');
    expect(await guest.shell('cat /sys/block/vda/size /sys/block/vdb/size /sys/block/vdb/ro')).toBe(
      `${32 * 2048}\n${3 * 2048}\n1`,
    );
    expect(await guest.shell('head -c 11 /dev/vdb')).toBe('second disk');
    const memoryKib = Number(/MemTotal:\s+(\d+)/.exec(await guest.shell('cat /proc/meminfo'))?.[1]);
    expect(memoryKib).toBeGreaterThan(130 * 1024);
    expect(memoryKib).toBeLessThan(192 * 1024);
    expect(
      await guest.shell(
        'cat /sys/class/misc/hw_random/rng_current 2>/dev/null || cat /sys/devices/virtual/misc/hw_random/rng_current',
      ),
    ).toMatch(/^virtio_rng/);
  });

  it('runs on a clock that keeps the host’s pace', async () => {
    await using guest = await startGuest(await lab.spec());
    expect(await guest.shell('cat /sys/devices/system/clocksource/clocksource0/current_clocksource')).toMatch(
      /^tsc/,
    );
    // The guest read its clock at some moment between the two of the host.
    const read = async () => {
      const before = performance.now() / 1000;
      const seconds = Number.parseFloat(await guest.shell('cat /proc/uptime'));
      return { before, seconds, after: performance.now() / 1000 };
    };
    const start = await read();
    await new Promise((resolve) => setTimeout(resolve, 5000));
    const end = await read();
    const guestSeconds = end.seconds - start.seconds;
    expect(guestSeconds).toBeGreaterThan(0.97 * (end.before - start.after) - 0.02);
    expect(guestSeconds).toBeLessThan(1.03 * (end.after - start.before) + 0.02);
  });

  it('inherits only its channels and opens only its own files', async () => {
    const spec = await lab.spec();
    await using guest = await startGuest(spec);
    const fds = `/proc/${guest.vm.pid}/fd`;
    const targets = await Promise.all(
      (await readdir(fds)).map((fd) => readlink(join(fds, fd)).catch(() => '')),
    );
    const files = targets.filter((target) => target.startsWith('/') && !target.startsWith('/dev/'));
    expect([...new Set(files)]).toEqual([lab.rootPath]);
    // Control, agent, console, and its stderr.
    expect(targets.filter((target) => target.startsWith('socket:')).length).toBe(4);
  });

  it('tells the guest’s panic with its last words, not by a timeout', async () => {
    const { initrdPath, ...bare } = await lab.spec();
    expect(initrdPath).toBeDefined();
    const startedAt = performance.now();
    const vm = await createQemuDriver().start({ ...bare, disks: [] });
    const error = await vmExitedError(vm);
    expect(error).toMatchObject({
      code: 'VM_EXITED',
      details: { consoleTail: expect.stringContaining('Kernel panic - not syncing: VFS') },
    });
    expect(performance.now() - startedAt).toBeLessThan(60_000);
  });

  it('bounds the console of a guest that never stops writing to it', async () => {
    const spec = await lab.spec();
    await using guest = await startGuest(spec);
    await guest.shell(
      'dd if=/dev/zero bs=4096 count=200 2>/dev/null | cat >/dev/console; echo the end >/dev/console',
    );
    await expect.poll(() => guest.vm.consoleTail(100), { timeout: 60_000 }).toContain('the end');
    const sizes = await Promise.all(
      ['console.log', 'console.log.1'].map((name) =>
        stat(join(spec.directory, name)).then(
          ({ size }) => size,
          () => 0,
        ),
      ),
    );
    for (const size of sizes) expect(size).toBeLessThan(1024 * 1024 + 300);
    expect(await guest.shell('echo well')).toBe('well');
  });

  it('dies with the process that started it, also by SIGKILL', async () => {
    const spec = await lab.spec();
    const starter = spawn(
      process.execPath,
      [join(import.meta.dirname, 'start-vm.mjs'), JSON.stringify(spec)],
      {
        cwd: REPOSITORY,
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const pid = Number(String((await once(starter.stdout, 'data'))[0]));
    expect(isRunning(pid)).toBe(true);
    starter.kill('SIGKILL');
    await once(starter, 'exit');
    await expect.poll(() => isRunning(pid), { timeout: 60_000 }).toBe(false);
  });

  it('takes a guest that runs to its end as proof, and KVM here only with that proof', async () => {
    const scratch = await openScratch();
    const { kernelPath } = await lab.spec();
    try {
      // The same QEMU, emulating where it is told to use KVM.
      const disguised = await scratch.script(
        'qemu',
        'for a; do shift; case "$a" in kvm) a=tcg;; host) a=max;; esac; set -- "$@" "$a"; done; exec qemu-system-x86_64 "$@"',
      );
      const options = { kernelPath, cachePath: join(scratch.directory, 'answers.json') };
      const kvmDevice = await scratch.script('kvm', '');
      expect(await resolveAccelerator('kvm', { ...options, kvmDevice, binary: disguised })).toMatchObject({
        accelerator: 'kvm',
        reason: expect.stringContaining('a guest ran under KVM'),
      });
      const real = await resolveAccelerator('auto', options);
      await using guest = await startGuest({ ...(await lab.spec()), accelerator: real.accelerator });
      expect(await guest.shell('echo runs')).toBe('runs');
    } finally {
      await scratch.remove();
    }
  });
});

describe('a saved VM', () => {
  let lab: BootLab;
  let frozen: { statePath: string; memoryPath: string; diskPath: string };
  beforeAll(async () => {
    lab = await openBootLab();
    const spec = await lab.spec();
    const disk = await lab.overlay(lab.rootPath, 'raw');
    const memoryPath = join(lab.directory, 'memory');
    const statePath = join(lab.directory, 'state');
    await using guest = await startGuest({
      ...spec,
      disks: [disk],
      memory: { kind: 'file', path: memoryPath },
    });
    await guest.shell('echo before >/tmp/file; sync');
    guest.agent.close();
    await guest.vm.save(statePath);
    frozen = { statePath, memoryPath, diskPath: disk.path };
  });
  afterAll(() => lab?.close());

  let lastDisk: VmDisk | undefined;
  const resume = async () => {
    // Copies may be made at once: each keeps the disk it made.
    const disk = await lab.overlay(frozen.diskPath, 'qcow2');
    lastDisk = disk;
    return await startGuest({
      ...(await lab.spec()),
      disks: [disk],
      memory: { kind: 'copy-on-write', path: frozen.memoryPath },
      resumeFrom: { statePath: frozen.statePath },
    });
  };

  it('keeps its memory out of its state', async () => {
    expect((await stat(frozen.statePath)).size).toBeLessThan(2 * 1024 * 1024);
    expect((await stat(frozen.statePath)).mode & 0o777).toBe(0o600);
  });

  it('goes on in any number of copies that do not see each other', async () => {
    const before = await readFile(frozen.memoryPath);
    const guests = await Promise.all([resume(), resume()]);
    try {
      const [one, two] = guests;
      expect(await one.shell('cat /tmp/file')).toBe('before');
      await one.shell('echo one >/tmp/file; sync');
      expect(await two.shell('cat /tmp/file')).toBe('before');
      await two.shell('echo two >/tmp/file; sync');
      expect(await one.shell('cat /tmp/file')).toBe('one');
      for (const { vm } of guests) {
        const rollup = await readFile(`/proc/${vm.pid}/smaps_rollup`, 'utf8');
        expect(Number(/Private_Dirty:\s+(\d+)/.exec(rollup)?.[1])).toBeLessThan(60 * 1024);
      }
    } finally {
      for (const guest of guests) await guest[Symbol.asyncDispose]();
    }
    expect((await readFile(frozen.memoryPath)).equals(before)).toBe(true);
  });

  it('can itself be saved with its memory in the state, paused, and go on', async () => {
    const statePath = join(lab.directory, 'state-2');
    await using guest = await resume();
    await guest.shell('echo later >/tmp/file; sync');
    guest.agent.close();
    await guest.vm.save(statePath);
    expect((await stat(statePath)).size).toBeGreaterThan(8 * 1024 * 1024);
    await expect(guest.vm.save(statePath)).rejects.toMatchObject({ code: expect.any(String) });
    await guest.vm.resume();
    await guest.vm.pause();
  });

  it('gives its memory to copies of a copy that runs on', async () => {
    const carrying = join(lab.directory, 'carrying');
    const target = { statePath: join(lab.directory, 'state-3'), memoryPath: join(lab.directory, 'memory-3') };
    await using source = await resume();
    await source.shell('echo source >/tmp/file; sync');
    await source.vm.save(carrying);
    // Its disk is complete and stands still for this moment; a copy of it belongs to this state.
    const disk = join(lab.directory, 'disk-3.qcow2');
    await copyFile(lastDisk?.path ?? '', disk);
    await source.vm.resume();
    const overlays = [await lab.overlay(disk, 'qcow2'), await lab.overlay(disk, 'qcow2')];
    const spec = await lab.spec({ disks: overlays.slice(0, 1), resumeFrom: { statePath: carrying } });
    await separateMemory(createQemuDriver(), { ...spec, resumeFrom: { statePath: carrying } }, target);
    expect((await stat(target.statePath)).size).toBeLessThan(2 * 1024 * 1024);
    await using child = await startGuest({
      ...(await lab.spec()),
      disks: overlays.slice(1),
      memory: { kind: 'copy-on-write', path: target.memoryPath },
      resumeFrom: { statePath: target.statePath },
    });
    expect(await child.shell('cat /tmp/file')).toBe('source');
    expect(await source.shell('cat /tmp/file')).toBe('source');
  });

  it('is refused when its state is damaged or missing, with no process left', async () => {
    const damaged = join(lab.directory, 'damaged');
    const state = await readFile(frozen.statePath);
    await writeFile(damaged, state.subarray(0, state.byteLength / 2));
    const spec = async (statePath: string) => ({
      ...(await lab.spec()),
      disks: [await lab.overlay(frozen.diskPath, 'qcow2')],
      memory: { kind: 'copy-on-write', path: frozen.memoryPath } as const,
      resumeFrom: { statePath },
    });
    const driver = createQemuDriver();
    await expect(driver.start(await spec(damaged))).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(driver.start(await spec(join(lab.directory, 'nowhere')))).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
  });
});
