/** What a VM that goes on from a saved one must have for itself, before it runs anything. */
import { randomBytes } from 'node:crypto';
import type { AgentClient } from '../agent/index.js';

const ENTROPY_BYTES = 64;
const MACHINE_ID_BYTES = 16;

/**
 * Makes a resumed VM one of its own, before it runs anything: random numbers, host name, machine id; its clock was
 * set by the hello. Fail-closed: each part is acknowledged by the guest, or the VM is not used.
 */
export async function giveIdentity(
  agent: AgentClient,
  hostname: string,
  given: { readonly signal?: AbortSignal },
): Promise<void> {
  await Promise.all([
    agent.addEntropy(randomBytes(ENTROPY_BYTES), given),
    agent.setHostname(hostname, given),
    agent.setMachineId(randomBytes(MACHINE_ID_BYTES).toString('hex'), given),
  ]);
}
