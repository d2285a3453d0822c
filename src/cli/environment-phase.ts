import type { EnvironmentProgress } from '../environments/index.js';
import type { Progress } from './progress.js';

/** Shows what pulling an environment tells as phases of the task `pull`. */
export function environmentPhase(progress: Progress): (event: EnvironmentProgress) => void {
  return ({ phase, environment, message, source, doneBytes, totalBytes }) => {
    const note = message ?? (phase === 'ready' ? source : undefined);
    progress.update('pull', environment, {
      phase,
      ...(note === undefined ? {} : { note }),
      ...(doneBytes === undefined ? {} : { doneBytes }),
      ...(totalBytes === undefined ? {} : { totalBytes }),
    });
  };
}
