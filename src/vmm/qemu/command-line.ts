/**
 * The command line of QEMU for a VM: pure, so that tests can read it.
 *
 * Sources: QEMU 7.2 qemu-system-x86_64(1), docs/system/i386/pc.rst; Linux 6.1
 * Documentation/admin-guide/kernel-parameters.rst. What each choice saves is in docs/decisions.
 */
import type { VmDisk, VmSpec } from '../driver.js';

/** How QEMU reaches one of its byte channels. */
export type Endpoint =
  /** A connected stream socket that QEMU inherits under this number. */
  | { readonly kind: 'descriptor'; readonly descriptor: number }
  /** A socket that QEMU makes in its working directory and listens on. */
  | { readonly kind: 'listen'; readonly fileName: string };

export interface Endpoints {
  readonly control: Endpoint;
  readonly agent: Endpoint;
  readonly console: Endpoint;
}

/** The name of the agent's port, as the guest sees it in /sys/class/virtio-ports. */
const AGENT_PORT_NAME = 'hearth.agent';

/**
 * Emulated CPU features that cost more than they give: the first group makes the kernel copy with byte-wise
 * string instructions, which an emulator runs one by one; the second switches protections at every entry to
 * the kernel, or a deeper page table, that separate nothing from the host.
 */
const TCG_CPU = ['max', '-erms', '-fsrm', '-la57', '-smap', '-smep', '-umip', '-pku', '-mpx'].join(',');

/** Nothing of the user's or the distribution's configuration, no device that is not named below, no help from outside. */
const ISOLATION = [
  ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
  ...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
];

/** All arguments after the program's name. Paths in `spec` must be absolute. */
export function qemuArguments(spec: VmSpec, endpoints: Endpoints): string[] {
  return [
    ...ISOLATION,
    ...['-machine', machine(spec), '-accel', spec.accelerator, '-cpu', cpuModel(spec)],
    ...['-smp', String(spec.cpus), '-m', `${spec.memoryMib}M`],
    ...['-kernel', spec.kernelPath, '-initrd', spec.initrdPath, '-append', kernelCommandLine(spec)],
    ...['-chardev', chardev('control', endpoints.control), '-mon', 'chardev=control,mode=control'],
    ...['-chardev', chardev('console', endpoints.console), '-device', 'isa-serial,chardev=console'],
    ...['-chardev', chardev('agent', endpoints.agent)],
    ...device({ driver: 'virtio-serial-pci', id: 'serial', max_ports: 2, romfile: '' }),
    ...device({ driver: 'virtserialport', chardev: 'agent', name: AGENT_PORT_NAME }),
    ...['-object', 'rng-random,id=entropy,filename=/dev/urandom'],
    ...device({ driver: 'virtio-rng-pci', rng: 'entropy', romfile: '' }),
    ...spec.disks.flatMap(disk),
  ];
}

/**
 * The kernel command line: what the machine needs, then `spec.kernelArgs`, so that those win.
 */
export function kernelCommandLine(spec: VmSpec): string {
  return [
    ...['console=ttyS0', 'quiet', 'panic=-1', 'reboot=t'],
    // Self tests of algorithms that the distribution's builders ran already: 0.3 s under emulation.
    'cryptomgr.notests',
    ...(needsAcpi(spec) ? ['pci=noacpi'] : ['acpi=off', 'noreplace-smp']),
    // Emulated code does not speculate on the host's CPU, and the emulated TSC is the host's own clock.
    ...(spec.accelerator === 'tcg' ? ['mitigations=off', 'tsc=reliable'] : []),
    ...spec.kernelArgs,
  ].join(' ');
}

/** Without ACPI a guest boots faster, but finds only its first CPU. */
function needsAcpi(spec: VmSpec): boolean {
  return spec.cpus > 1;
}

function machine(spec: VmSpec): string {
  return ['pc', 'hpet=off', 'usb=off', 'vmport=off', `acpi=${needsAcpi(spec) ? 'on' : 'off'}`].join(',');
}

function cpuModel(spec: VmSpec): string {
  return spec.accelerator === 'kvm' ? 'host' : TCG_CPU;
}

function chardev(id: string, endpoint: Endpoint): string {
  return endpoint.kind === 'descriptor'
    ? `socket,id=${id},fd=${endpoint.descriptor}`
    : `socket,id=${id},path=${endpoint.fileName},server=on,wait=off`;
}

/** As JSON, in which a path may hold any character. */
function device(properties: Readonly<Record<string, unknown>>): string[] {
  return ['-device', JSON.stringify(properties)];
}

function disk({ path, format, readOnly, disposable }: VmDisk, index: number): string[] {
  const id = `disk${index}`;
  const cache = { direct: false, 'no-flush': disposable === true };
  const file = { driver: 'file', filename: path, aio: 'threads', 'read-only': readOnly, cache };
  const node = { driver: format, 'node-name': id, file, 'read-only': readOnly, cache };
  const discard = readOnly ? {} : { discard: 'unmap', 'detect-zeroes': 'unmap' };
  return [
    ...[
      '-blockdev',
      JSON.stringify({ ...node, ...discard, file: { ...file, ...(readOnly ? {} : { discard: 'unmap' }) } }),
    ],
    ...['-object', `iothread,id=io${index}`],
    ...device({ driver: 'virtio-blk-pci', drive: id, iothread: `io${index}`, romfile: '' }),
  ];
}
