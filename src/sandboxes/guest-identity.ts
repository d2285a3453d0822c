/** What a VM that goes on from a saved one must have for itself, before it runs anything. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentClient } from '../agent/index.js';
import { HearthError } from '../errors/index.js';

const ENTROPY_BYTES = 64;
const MACHINE_ID_BYTES = 16;

const CLOCK_ERROR_MS = 250;
/** A machine too crowded for one short way in so many has worse to tell than the time. */
const CLOCK_TURNS = 8;
const END_TIMEOUT_MS = 10_000;
const LOOK_MS = 10;

interface Given {
  readonly signal?: AbortSignal;
}

export interface IdentityOptions extends Given {
  /** It is the same machine as before. Default false. */
  readonly keepMachineId?: boolean;
}

/**
 * Makes a resumed VM one of its own, before it runs anything: random numbers, clock, host name, machine id.
 * Fail-closed: each part is acknowledged by the guest, or the VM is not used.
 *
 * @throws {HearthError} `VM_IDENTITY_UNCONFIRMED` naming the part, `AGENT_DISCONNECTED`.
 */
export async function giveIdentity(
  agent: AgentClient,
  hostname: string,
  { keepMachineId = false, ...given }: IdentityOptions,
): Promise<void> {
  const machineId = randomBytes(MACHINE_ID_BYTES).toString('hex');
  await Promise.all([
    confirmed('random numbers', given, agent.addEntropy(randomBytes(ENTROPY_BYTES), given)),
    confirmed('clock', given, setClock(agent, given)),
    confirmed('host name', given, agent.setHostname(hostname, given)),
    ...(keepMachineId ? [] : [confirmed('machine id', given, agent.setMachineId(machineId, given))]),
  ]);
}

/** The time that a guest is given is as old as its way there: it is told again when that took too long. */
async function setClock(agent: AgentClient, given: Given): Promise<void> {
  for (let turn = 1; turn <= CLOCK_TURNS; turn += 1) {
    const askedAt = performance.now();
    await agent.setClock(given);
    if (performance.now() - askedAt <= CLOCK_ERROR_MS) return;
  }
}

/**
 * Ends every command that came with a saved VM, and forgets what they wrote.
 *
 * @throws {HearthError} `VM_IDENTITY_UNCONFIRMED` when one does not end, `AGENT_DISCONNECTED`.
 */
export async function endCommands(agent: AgentClient, given: Given): Promise<void> {
  await confirmed('end of its commands', given, endAll(agent, given));
}

async function endAll(agent: AgentClient, given: Given): Promise<void> {
  await agent.allProcesses('end', given);
  const deadline = performance.now() + END_TIMEOUT_MS;
  let execs = await agent.listExecs(given);
  while (execs.some(({ running }) => running)) {
    if (performance.now() > deadline) {
      throw new HearthError('AGENT_TIMEOUT', `commands still run after ${END_TIMEOUT_MS} ms`, {
        details: { running: execs.filter(({ running }) => running).length, timeoutMs: END_TIMEOUT_MS },
      });
    }
    await sleep(LOOK_MS);
    execs = await agent.listExecs(given);
  }
  for (const { execId } of execs) await agent.forgetExec(execId, given);
}

/** Whatever keeps the guest from confirming has one code; the end of its channel or of the caller's wish is told as it is. */
async function confirmed(part: string, { signal }: Given, done: Promise<unknown>): Promise<void> {
  try {
    await done;
  } catch (error) {
    if (signal?.aborted === true || !HearthError.is(error) || error.code === 'AGENT_DISCONNECTED')
      throw error;
    throw new HearthError(
      'VM_IDENTITY_UNCONFIRMED',
      `the guest did not confirm its own ${part}, so it is not used: ${error.message}`,
      {
        hint: 'Undo in the sandbox what keeps the guest from it, or stop it before: a copy of its disk boots.',
        details: { part, reason: error.code, ...error.details },
        cause: error,
      },
    );
  }
}
