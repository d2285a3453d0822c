/** What a VM that goes on from a saved one must have for itself, before it runs anything. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentClient } from '../agent/index.js';
import { HearthError } from '../errors/index.js';

const ENTROPY_BYTES = 64;
const MACHINE_ID_BYTES = 16;

const END_TIMEOUT_MS = 10_000;
const LOOK_MS = 10;

export interface IdentityOptions {
  readonly signal?: AbortSignal;
  /** It is the same machine as before. Default false. */
  readonly keepMachineId?: boolean;
}

/**
 * Makes a resumed VM one of its own, before it runs anything: random numbers, clock, host name, machine id.
 * Fail-closed: each part is acknowledged by the guest, or the VM is not used.
 */
export async function giveIdentity(
  agent: AgentClient,
  hostname: string,
  { keepMachineId = false, ...given }: IdentityOptions,
): Promise<void> {
  await Promise.all([
    agent.addEntropy(randomBytes(ENTROPY_BYTES), given),
    agent.setClock(given),
    agent.setHostname(hostname, given),
    ...(keepMachineId ? [] : [agent.setMachineId(randomBytes(MACHINE_ID_BYTES).toString('hex'), given)]),
  ]);
}

/**
 * Ends every command that came with a saved VM, and forgets what they wrote.
 *
 * @throws {HearthError} `AGENT_TIMEOUT` when one does not end.
 */
export async function endCommands(
  agent: AgentClient,
  given: { readonly signal?: AbortSignal },
): Promise<void> {
  await agent.allProcesses('end', given);
  const deadline = performance.now() + END_TIMEOUT_MS;
  let execs = await agent.listExecs(given);
  while (execs.some(({ running }) => running)) {
    if (performance.now() > deadline) {
      throw new HearthError('AGENT_TIMEOUT', 'the commands of the saved VM do not end', {
        hint: 'Run the same command again.',
        details: { running: execs.filter(({ running }) => running).length, timeoutMs: END_TIMEOUT_MS },
      });
    }
    await sleep(LOOK_MS);
    execs = await agent.listExecs(given);
  }
  for (const { execId } of execs) await agent.forgetExec(execId, given);
}
