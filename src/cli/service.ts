/** The user's sandboxes for a command: through the daemon, started when there is none. */
import type { Service, ServiceCallOptions } from '../contract/index.js';
import { packageVersion } from '../fsx/index.js';
import { connectDaemon } from '../sdk/index.js';
import type { CommandContext } from './command.js';
import type { Progress } from './progress.js';

export async function openService(
  { paths, env }: CommandContext,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Service> {
  return await connectDaemon({ paths, env, version: packageVersion(), ...options });
}

/** Shows the phases of a sandbox's operation as those of the task `task`. */
export function sandboxPhase(
  progress: Progress,
  task: string,
): NonNullable<ServiceCallOptions['onProgress']> {
  return ({ phase, environment, message, doneBytes, totalBytes }) =>
    progress.update(task, environment, {
      phase,
      ...(message === undefined ? {} : { note: message }),
      ...(doneBytes === undefined ? {} : { doneBytes }),
      ...(totalBytes === undefined ? {} : { totalBytes }),
    });
}
