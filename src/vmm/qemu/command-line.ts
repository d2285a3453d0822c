/**
 * The command line of QEMU for a VM: pure, so that tests can read it.
 *
 * Sources: QEMU 7.2 qemu-system-x86_64(1), docs/system/i386/microvm.rst; Linux 6.1
 * Documentation/admin-guide/kernel-parameters.rst. What each choice saves is in docs/decisions.
 */
import type { VmDisk, VmSpec } from '../driver.js';

export interface HostFacts {
  /** Frequency of the host's time stamp counter in kHz, or undefined when it is not known. */
  readonly tscKhz: number | undefined;
}

/** How QEMU reaches one of its byte channels. */
type Endpoint =
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

const MIB = 1024 * 1024;
const MACHINE = 'microvm,acpi=on';

/** Nothing of the user's or the distribution's configuration, no device that is not named below, no help from outside. */
const ISOLATION = [
  ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
  // Virtio 1.0 on every transport, which the machine does not choose by itself.
  ...['-global', 'virtio-mmio.force-legacy=false'],
  ...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
];

/**
 * All arguments after the program's name. Paths in `spec` must be absolute.
 *
 * The machine is QEMU's microvm with ACPI: no PCI bus to search, no firmware tables to interpret, and still an
 * I/O APIC and all CPUs.
 */
export function qemuArguments(spec: VmSpec, endpoints: Endpoints, host: HostFacts): string[] {
  return [
    ...ISOLATION,
    ...memory(spec),
    ...['-accel', spec.accelerator],
    ...['-cpu', spec.accelerator === 'kvm' ? 'host' : TCG_CPU],
    ...['-smp', String(spec.cpus), '-m', `${spec.memoryMib}M`],
    ...(spec.resumeFrom === undefined ? bootFiles(spec, host) : ['-incoming', 'defer']),
    ...['-chardev', chardev('control', endpoints.control), '-mon', 'chardev=control,mode=control'],
    ...['-chardev', chardev('console', endpoints.console), '-serial', 'chardev:console'],
    ...['-chardev', chardev('agent', endpoints.agent)],
    ...device({ driver: 'virtio-serial-device', max_ports: 2 }),
    ...device({ driver: 'virtserialport', chardev: 'agent', name: AGENT_PORT_NAME }),
    ...['-object', 'rng-random,id=entropy,filename=/dev/urandom'],
    ...device({ driver: 'virtio-rng-device', rng: 'entropy' }),
    // The guest tells which pages are free, and they go back to the host.
    ...device({ driver: 'virtio-balloon-device', 'free-page-reporting': true }),
    ...spec.disks.flatMap(disk),
    ...(spec.network === undefined ? [] : network(spec.network)),
  ];
}

/**
 * Only for a VM that boots: QEMU reads them into memory, which a resumed VM has from its state already, at the cost
 * of time and of private memory.
 */
function bootFiles(spec: VmSpec, host: HostFacts): string[] {
  const initrd = spec.initrdPath === undefined ? [] : ['-initrd', spec.initrdPath];
  return ['-kernel', spec.kernelPath, ...initrd, '-append', kernelCommandLine(spec, host)];
}

/** Always a backend of one name, so that a state fits whatever kind of memory the next VM has. */
function memory({ memory: where = { kind: 'anonymous' }, memoryMib }: VmSpec): string[] {
  const backend = {
    ...(where.kind === 'anonymous'
      ? { 'qom-type': 'memory-backend-ram' }
      : { 'qom-type': 'memory-backend-file', 'mem-path': where.path, share: where.kind === 'file' }),
    id: 'memory',
    size: memoryMib * MIB,
  };
  return ['-object', JSON.stringify(backend), '-machine', `${MACHINE},memory-backend=memory`];
}

/** The kernel command line: what the machine needs, then `spec.kernelArgs`, so that those win. */
export function kernelCommandLine(spec: VmSpec, host: HostFacts): string {
  return [
    ...['console=ttyS0', 'quiet', 'panic=-1', 'reboot=t'],
    // Self tests of algorithms that the distribution's builders ran already.
    'cryptomgr.notests',
    // The VM is the border: path rules without a policy only make every command slower.
    'lsm=landlock,lockdown,yama,integrity',
    // Spares patching out the instructions that more CPUs would need.
    ...(spec.cpus === 1 ? ['noreplace-smp'] : []),
    ...(spec.accelerator === 'tcg' ? emulatedCpuWords(host) : []),
    ...spec.kernelArgs,
  ].join(' ');
}

/**
 * Emulated code does not speculate on the host's CPU. The emulated time stamp counter is the host's own: it
 * needs no supervision, which on a busy host mistakes a pause for an error, and no measuring, which takes
 * seconds on a machine with few timers.
 */
function emulatedCpuWords({ tscKhz }: HostFacts): string[] {
  return ['mitigations=off', 'tsc=reliable', ...(tscKhz === undefined ? [] : [`tsc_early_khz=${tscKhz}`])];
}

function chardev(id: string, endpoint: Endpoint): string {
  return endpoint.kind === 'descriptor'
    ? `socket,id=${id},fd=${endpoint.descriptor}`
    : `socket,id=${id},path=${endpoint.fileName},server=on,wait=off`;
}

/**
 * As JSON, in which a path may hold any character. The guest finds virtio devices, and so names its disks, in the
 * order of their arguments.
 */
function device(properties: Readonly<Record<string, unknown>>): string[] {
  return ['-device', JSON.stringify(properties)];
}

/**
 * QEMU's own network of one guest: 10.0.2.15, with 10.0.2.2 for this host and 10.0.2.3 for its DNS. No service of
 * QEMU's on it that can be left out. After the disks, so that their order stays.
 */
function network({ mac }: NonNullable<VmSpec['network']>): string[] {
  return [
    ...['-netdev', 'user,id=network,ipv4=on,ipv6=off,net=10.0.2.0/24,host=10.0.2.2,dns=10.0.2.3'],
    ...device({ driver: 'virtio-net-device', netdev: 'network', mac }),
  ];
}

function disk({ path, format, readOnly, disposable }: VmDisk, index: number): string[] {
  const id = `disk${index}`;
  const common = {
    'read-only': readOnly,
    cache: { direct: false, 'no-flush': disposable === true },
    ...(readOnly ? {} : { discard: 'unmap', 'detect-zeroes': 'unmap' }),
  };
  const file = { driver: 'file', filename: path, aio: 'threads', ...common };
  return [
    ...['-blockdev', JSON.stringify({ driver: format, 'node-name': id, file, ...common })],
    ...device({ driver: 'virtio-blk-device', drive: id }),
  ];
}
