/** What `hearth prepare` and `hearth env pull --prepare` do with an environment that is installed. */
import type { Environment } from '../environments/index.js';
import { chooseAccelerator, prepareMachine } from '../sandboxes/index.js';
import type { CommandContext } from './command.js';
import type { MachineWishes } from './machine-options.js';
import type { Progress } from './progress.js';

export interface PreparedEnvironment {
  readonly environment: string;
  readonly accelerator: string;
  readonly snapshot: Awaited<ReturnType<typeof prepareMachine>>;
}

export async function prepareEnvironment(
  environment: Environment,
  { cpus, memoryMib, diskBytes, accelerator: wish }: MachineWishes,
  { paths }: CommandContext,
  options: { readonly signal: AbortSignal; readonly progress: Progress; readonly verify?: boolean },
): Promise<PreparedEnvironment> {
  const { signal, progress, verify = false } = options;
  const { accelerator } = await chooseAccelerator(wish, environment, { paths, signal });
  progress.update('prepare', environment.name, { phase: 'prepare' });
  const spec = {
    environment,
    cpus,
    memoryMib,
    accelerator,
    ...(diskBytes === undefined ? {} : { diskBytes }),
  };
  const snapshot = await prepareMachine(spec, { paths, signal, verify });
  return { environment: environment.name, accelerator, snapshot };
}
