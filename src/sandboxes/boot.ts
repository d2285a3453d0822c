/** From files to a VM whose agent has answered: by booting, or by going on where a saved VM stopped. */
import type { AgentClient } from '../agent/index.js';
import { HearthError } from '../errors/index.js';
import { type Vm, type VmDriver, type VmSpec, vmExitedError } from '../vmm/index.js';

export interface BootedVm {
  readonly vm: Vm;
  readonly agent: AgentClient;
}

export interface BootOptions {
  /** For the agent's first answer. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Starts the VM and waits for its agent, or for its end.
 *
 * @throws {HearthError} What the driver throws, `VM_EXITED` with the end of the console, `AGENT_TIMEOUT`,
 *   `AGENT_BOOT_FAILED`. No process is left then.
 */
export async function bootVm(
  driver: VmDriver,
  spec: VmSpec,
  { timeoutMs, signal }: BootOptions,
): Promise<BootedVm> {
  const given = signal === undefined ? {} : { signal };
  let agent: Promise<typeof import('../agent/index.js')> | undefined;
  const loadAgent = (): Promise<typeof import('../agent/index.js')> => {
    agent ??= import('../agent/index.js');
    return agent;
  };
  // Loaded while the VMM starts, which is time that nobody waits for. What is wrong with it is said below.
  const vm = await driver.start(spec, { ...given, onSpawn: () => void loadAgent().catch(() => {}) });
  try {
    const { connectAgent } = await loadAgent();
    return { vm, agent: await connectAgent(vm.channel, { timeoutMs, ...given }) };
  } catch (error) {
    await vm.kill();
    // The channel of a VM that ended closes first; its end says more.
    throw HearthError.is(error) && error.code === 'AGENT_DISCONNECTED' ? await vmExitedError(vm) : error;
  }
}
