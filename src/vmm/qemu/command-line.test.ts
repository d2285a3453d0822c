import { describe, expect, it } from 'vitest';
import type { VmSpec } from '../driver.js';
import { type Endpoints, kernelCommandLine, qemuArguments } from './command-line.js';

const spec: VmSpec = {
  directory: '/vm',
  kernelPath: '/k/vmlinux',
  initrdPath: '/k/initrd',
  kernelArgs: ['hearth.root=/dev/vda'],
  cpus: 1,
  memoryMib: 256,
  disks: [],
  accelerator: 'tcg',
};
const endpoints: Endpoints = {
  control: { kind: 'descriptor', descriptor: 3 },
  agent: { kind: 'descriptor', descriptor: 4 },
  console: { kind: 'listen', fileName: 'console.sock' },
};
const host = { tscKhz: 2_600_000 };

/** The values given for one option, in order. */
function valuesOf(option: string, changes: Partial<VmSpec> = {}): string[] {
  const args = qemuArguments({ ...spec, ...changes }, endpoints, host);
  return args.flatMap((arg, index) => (arg === option ? [args[index + 1] ?? ''] : []));
}

describe('qemuArguments', () => {
  it('takes nothing that it does not name, and no right that it does not need', () => {
    const args = qemuArguments(spec, endpoints, host);
    for (const option of ['-nodefaults', '-no-user-config', '-no-reboot']) expect(args).toContain(option);
    expect(valuesOf('-sandbox')).toEqual([
      'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
    ]);
    expect(valuesOf('-display')).toEqual(['none']);
    expect(valuesOf('-netdev')).toEqual([]);
  });

  it('reaches its channels through descriptors or sockets in its directory', () => {
    expect(valuesOf('-chardev')).toEqual([
      'socket,id=control,fd=3',
      'socket,id=console,path=console.sock,server=on,wait=off',
      'socket,id=agent,fd=4',
    ]);
  });

  it('gives the host’s CPU under KVM and a cheap one under emulation', () => {
    expect(valuesOf('-cpu', { accelerator: 'kvm' })).toEqual(['host']);
    expect(valuesOf('-cpu')[0]).toMatch(/^max,/);
    expect(valuesOf('-accel', { accelerator: 'kvm' })).toEqual(['kvm']);
  });

  it('keeps paths with commas and quotes whole', () => {
    const path = '/a,b="c"/disk';
    const [disk] = valuesOf('-blockdev', { disks: [{ path, format: 'qcow2', readOnly: false }] });
    expect(JSON.parse(disk ?? '')).toMatchObject({ driver: 'qcow2', file: { filename: path } });
    const [, memory] = valuesOf('-object', { memory: { kind: 'file', path } }).reverse();
    expect(JSON.parse(memory ?? '')).toMatchObject({ 'mem-path': path });
  });

  it('opens disks as they are asked for, in their order', () => {
    const disks = [
      { path: '/a', format: 'raw', readOnly: false, disposable: true },
      { path: '/b', format: 'raw', readOnly: true },
    ] as const;
    const [first, second] = valuesOf('-blockdev', { disks }).map((text) => JSON.parse(text));
    expect(first).toMatchObject({ 'read-only': false, cache: { 'no-flush': true }, discard: 'unmap' });
    expect(second).toMatchObject({
      'read-only': true,
      cache: { 'no-flush': false },
      file: { filename: '/b', 'read-only': true },
    });
    expect(second).not.toHaveProperty('discard');
    const drives = valuesOf('-device', { disks }).map((text) => JSON.parse(text).drive);
    expect(drives.filter((drive) => drive !== undefined)).toEqual(['disk0', 'disk1']);
  });

  it('has a network device only when it is asked for', () => {
    expect(valuesOf('-netdev')).toEqual([]);
    const mac = '02:00:00:00:00:01';
    expect(valuesOf('-netdev', { network: { mac } })).toEqual([
      'user,id=network,ipv4=on,ipv6=off,net=10.0.2.0/24,host=10.0.2.2,dns=10.0.2.3',
    ]);
    const devices = valuesOf('-device', { network: { mac } }).map((text) => JSON.parse(text));
    expect(devices.at(-1)).toEqual({ driver: 'virtio-net-device', netdev: 'network', mac });
  });

  it('shares a memory file only when the file is the guest’s own', () => {
    const share = (kind: 'file' | 'copy-on-write'): unknown => {
      const object = valuesOf('-object', { memory: { kind, path: '/m' } }).find((text) =>
        text.startsWith('{'),
      );
      return JSON.parse(object ?? '{}');
    };
    expect(share('file')).toMatchObject({ share: true, size: 256 * 1024 * 1024 });
    expect(share('copy-on-write')).toMatchObject({ share: false });
    expect(JSON.parse(valuesOf('-object')[0] ?? '')).toMatchObject({
      'qom-type': 'memory-backend-ram',
      id: 'memory',
    });
  });

  it('waits for a state only when there is one, and then loads nothing to boot', () => {
    expect(valuesOf('-incoming')).toEqual([]);
    expect(valuesOf('-kernel')).toEqual(['/k/vmlinux']);
    const resumed = { resumeFrom: { statePath: '/s' } };
    expect(valuesOf('-incoming', resumed)).toEqual(['defer']);
    for (const option of ['-kernel', '-initrd', '-append']) expect(valuesOf(option, resumed)).toEqual([]);
  });

  it('boots without an initrd', () => {
    const { initrdPath, ...bare } = spec;
    expect(qemuArguments(bare, endpoints, host)).not.toContain('-initrd');
  });
});

describe('kernelCommandLine', () => {
  it('lets the caller’s words win by coming last', () => {
    expect(kernelCommandLine(spec, host)).toMatch(/ hearth\.root=\/dev\/vda$/);
  });

  it.each([
    ['noreplace-smp', 1, 'tcg', true],
    ['noreplace-smp', 2, 'tcg', false],
    ['mitigations=off', 1, 'tcg', true],
    ['mitigations=off', 1, 'kvm', false],
    ['tsc_early_khz=2600000', 1, 'tcg', true],
    ['tsc_early_khz=2600000', 1, 'kvm', false],
  ] as const)('%s with %i CPUs under %s: %s', (word, cpus, accelerator, expected) => {
    const words = kernelCommandLine({ ...spec, cpus, accelerator }, host).split(' ');
    expect(words.includes(word)).toBe(expected);
  });

  it('lets the kernel measure a frequency that is not known', () => {
    expect(kernelCommandLine(spec, { tscKhz: undefined })).not.toMatch(/tsc_early_khz/);
  });
});
