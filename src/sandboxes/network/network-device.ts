/** The network device of a guest whose network is not filtered: how QEMU has it, and how the guest is told. */
import { randomBytes } from 'node:crypto';
import type { AgentClient, CallOptions } from '../../agent/index.js';
import type { VmSpec } from '../../vmm/index.js';

/** Of a VM that is frozen before it is anybody's. */
export const NOBODYS_MAC = '02:00:00:00:00:01';
const MAC_BYTES = 6;
/** A single device, of an address that nobody registered: IEEE 802-2014, 8.2.2. */
const LOCAL_BITS = 0x02;
const KEPT_BITS = 0xfc;

/** Parts of a VM's specification. @param mac Undefined: no network device. */
export function networkDevice(mac: string | undefined): Pick<VmSpec, 'kernelArgs' | 'network'> {
  return mac === undefined ? { kernelArgs: [] } : { kernelArgs: ['hearth.network=1'], network: { mac } };
}

/** The address of the sandbox with this id, of 12 hexadecimal digits. */
export function macOf(id: string): string {
  return macFrom(Buffer.from(id, 'hex'));
}

export function randomMac(): string {
  return macFrom(randomBytes(MAC_BYTES));
}

/** Static, as QEMU's user-mode network has it: there is nobody else on it. */
export async function configureNetwork(
  agent: AgentClient,
  mac: string,
  options: CallOptions = {},
): Promise<void> {
  await agent.setNetwork(
    { interface: 'eth0', mac, address: '10.0.2.15/24', gateway: '10.0.2.2', nameservers: ['10.0.2.3'] },
    options,
  );
}

function macFrom(bytes: Buffer): string {
  const [first = 0, ...rest] = bytes.subarray(0, MAC_BYTES);
  return [(first & KEPT_BITS) | LOCAL_BITS, ...rest]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join(':');
}
