/**
 * The Firecracker driver against a server that accepts what Firecracker's API description accepts. Firecracker
 * itself is not needed; what it does with accepted requests is not shown here.
 */
import { once } from 'node:events';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createFirecrackerDriver, type VmSpec } from '../../src/vmm/index.js';
import { isRunning, openScratch, type Scratch } from './support.js';

const FAKE = join(import.meta.dirname, 'fake-firecracker.mjs');

describe('the Firecracker driver', () => {
  let scratch: Scratch;
  beforeEach(async () => {
    scratch = await openScratch();
  });
  afterEach(() => scratch.remove());

  const driver = async (behaviour: string) =>
    createFirecrackerDriver({
      binary: await scratch.script('firecracker', `exec '${process.execPath}' '${FAKE}' ${behaviour} "$@"`),
    });
  const kvm = (changes: Partial<VmSpec> = {}) => scratch.spec({ accelerator: 'kvm', ...changes });
  const requests = async (spec: VmSpec): Promise<{ path: string; body: Record<string, unknown> }[]> =>
    (await readFile(join(spec.directory, 'requests.jsonl'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));

  it('configures, starts and connects the agent’s channel, keeping the guest’s first bytes', async () => {
    const spec = await kvm({
      initrdPath: '/k/initrd',
      kernelArgs: ['hearth.root=/dev/vda'],
      cpus: 2,
      disks: [
        { path: '/d/root', format: 'raw', readOnly: false, disposable: true },
        { path: '/d/more', format: 'raw', readOnly: true },
      ],
    });
    const vm = await (await driver('well')).start(spec);
    try {
      expect(String((await once(vm.channel, 'data'))[0])).toBe('hello');
      vm.channel.write('echo');
      expect(String((await once(vm.channel, 'data'))[0])).toBe('echo');
      const sent = await requests(spec);
      expect(sent.map(({ path }) => path)).toEqual([
        ...[
          '/machine-config',
          '/boot-source',
          '/drives/disk0',
          '/drives/disk1',
          '/vsock',
          '/entropy',
          '/actions',
        ],
      ]);
      expect(sent[0]?.body).toEqual({ vcpu_count: 2, mem_size_mib: 128 });
      expect(sent[1]?.body).toMatchObject({ initrd_path: '/k/initrd' });
      expect(String(sent[1]?.body.boot_args).split(' ')).toEqual(
        expect.arrayContaining(['console=ttyS0', 'hearth.vsock=1024', 'hearth.root=/dev/vda']),
      );
      expect(sent[2]?.body).toMatchObject({
        path_on_host: '/d/root',
        is_read_only: false,
        cache_type: 'Unsafe',
      });
      expect(sent[3]?.body).toMatchObject({
        path_on_host: '/d/more',
        is_read_only: true,
        cache_type: 'Writeback',
      });
      expect(sent[4]?.body).toEqual({ guest_cid: 3, uds_path: 'vsock.sock' });
    } finally {
      await vm.kill();
    }
    await vm.kill();
    expect(isRunning(vm.pid)).toBe(false);
    expect((await readdir(spec.directory)).sort()).toEqual(['requests.jsonl']);
  });

  it('waits for a guest that boots slowly, and works in a directory with a long name', async () => {
    const directory = join(scratch.directory, 'x'.repeat(120));
    await mkdir(directory, { mode: 0o700 });
    await using vm = await (await driver('slow-guest')).start(await kvm({ directory }));
    expect(String((await once(vm.channel, 'data'))[0])).toBe('hello');
  });

  it('pauses, saves and resumes', async () => {
    const memory = { kind: 'file', path: '/s/memory' } as const;
    const spec = await kvm({ memory });
    await using vm = await (await driver('well')).start(spec);
    await vm.save('/s/state');
    await vm.resume();
    expect((await requests(spec)).slice(-3)).toEqual([
      { path: '/vm', body: { state: 'Paused' } },
      {
        path: '/snapshot/create',
        body: { snapshot_type: 'Full', snapshot_path: '/s/state', mem_file_path: '/s/memory' },
      },
      { path: '/vm', body: { state: 'Resumed' } },
    ]);
  });

  it('goes on from a state with nothing else configured', async () => {
    const spec = await kvm({
      memory: { kind: 'copy-on-write', path: '/s/memory' },
      resumeFrom: { statePath: '/s/state' },
    });
    await using vm = await (await driver('well')).start(spec);
    expect(vm.pid).toBeGreaterThan(1);
    expect(await requests(spec)).toEqual([
      {
        path: '/snapshot/load',
        body: {
          snapshot_path: '/s/state',
          mem_backend: { backend_type: 'File', backend_path: '/s/memory' },
          resume_vm: true,
        },
      },
    ]);
  });

  const unsupported: ReadonlyArray<[what: string, change: Partial<VmSpec>]> = [
    ['emulation', { accelerator: 'tcg' }],
    ['33 CPUs', { cpus: 33 }],
    ['qcow2', { disks: [{ path: '/d', format: 'qcow2', readOnly: false }] }],
    ['a state without memory', { resumeFrom: { statePath: '/s' } }],
  ];
  it.each(unsupported)('says that it does not support %s', async (_what, change) => {
    await expect((await driver('well')).start(await kvm(change))).rejects.toMatchObject({
      code: 'VMM_FEATURE_UNSUPPORTED',
    });
  });

  it('says that it cannot save without a memory file', async () => {
    await using vm = await (await driver('well')).start(await kvm());
    await expect(vm.save('/s/state')).rejects.toMatchObject({ code: 'VMM_FEATURE_UNSUPPORTED' });
  });

  const failures: ReadonlyArray<[behaviour: string, expected: object]> = [
    ['dies', { code: 'VM_EXITED', details: { exitCode: 148, stderr: 'Failed to open /dev/kvm' } }],
    ['panic', { code: 'VM_EXITED', details: { consoleTail: expect.stringContaining('Kernel panic') } }],
    ['old', { code: 'VMM_VERSION_UNSUPPORTED', details: { version: '1.7.0' } }],
    [
      'no-drive',
      {
        code: 'VMM_REQUEST_FAILED',
        details: { statusCode: 400, description: expect.stringContaining('No such file') },
      },
    ],
  ];
  it.each(failures)('%s: fails at once and leaves no socket', async (behaviour, expected) => {
    const spec = await kvm({ disks: [{ path: '/d', format: 'raw', readOnly: false }] });
    const startedAt = performance.now();
    await expect((await driver(behaviour)).start(spec)).rejects.toMatchObject(expected);
    expect(performance.now() - startedAt).toBeLessThan(60_000);
    expect((await readdir(spec.directory)).filter((name) => name.endsWith('.sock'))).toEqual([]);
  });

  it('stops waiting when it is cancelled', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const silent = createFirecrackerDriver({ binary: await scratch.script('silent', 'exec sleep 100') });
    const starting = silent.start(await kvm(), { signal: controller.signal });
    setTimeout(() => controller.abort(reason), 200);
    await expect(starting).rejects.toBe(reason);
  });

  it('tells the end of a killed VMM', async () => {
    await using vm = await (await driver('well')).start(await kvm());
    process.kill(vm.pid, 'SIGKILL');
    expect(await vm.exited).toMatchObject({ signal: 'SIGKILL' });
  });

  it('says when it is not installed or too old', async () => {
    const missing = createFirecrackerDriver({ binary: 'firecracker-nowhere' });
    await expect(missing.start(await kvm())).rejects.toMatchObject({ code: 'VMM_NOT_FOUND' });
    const old = createFirecrackerDriver({ binary: await scratch.script('old', 'echo "Firecracker v1.7.0"') });
    await expect(old.version()).rejects.toMatchObject({ code: 'VMM_VERSION_UNSUPPORTED' });
    const fresh = createFirecrackerDriver({
      binary: await scratch.script('new', 'echo "Firecracker v1.13.1"'),
    });
    expect(await fresh.version()).toBe('1.13.1');
  });
});
