/** What a VM is made of, without where its files are. */
import { createHash } from 'node:crypto';
import type { VmSpec } from './driver.js';
import { hostTscKhz } from './host-tsc.js';
import { qemuArguments } from './qemu/command-line.js';

const ENDPOINT = { kind: 'listen', fileName: 'socket' } as const;

/**
 * A digest that changes when a VM of this specification would get other devices, or other options of them: a state
 * saved of the one does not fit the other. Lower-case hex.
 */
export async function machineIdentity(spec: VmSpec): Promise<string> {
  const { resumeFrom: _state, memory: _memory, ...rest } = spec;
  const anywhere: VmSpec = {
    ...rest,
    kernelPath: '/kernel',
    ...(rest.initrdPath === undefined ? {} : { initrdPath: '/initrd' }),
    // The guest sees a disk, whatever its file is like.
    disks: rest.disks.map(({ readOnly }) => ({ path: '/disk', format: 'raw', readOnly })),
  };
  const endpoints = { control: ENDPOINT, agent: ENDPOINT, console: ENDPOINT };
  const words = qemuArguments(anywhere, endpoints, { tscKhz: await hostTscKhz() });
  return createHash('sha256').update(JSON.stringify(words)).digest('hex');
}
