/** The errors of a sandbox that is not in the state that was needed. */
import { HearthError } from '../errors/index.js';
import type { ProcessIdentity } from '../vmm/index.js';
import type { SandboxRecord } from './sandbox-record.js';

type Named = Pick<SandboxRecord, 'id' | 'name' | 'state'>;

const about = ({ id, name, state }: Named): Readonly<Record<string, unknown>> => ({ id, name, state });

export function notRunning(record: Named): HearthError {
  const verb = record.state === 'paused' ? 'resume' : 'start';
  return new HearthError(
    'SANDBOX_NOT_RUNNING',
    `the sandbox ${record.name} is not running (${record.state})`,
    {
      hint: `Type \`hearth ${verb} ${record.name}\`; \`hearth inspect ${record.name}\` says what happened.`,
      details: about(record),
    },
  );
}

export function stateConflict(record: Named, wanted: string, instead: string): HearthError {
  return new HearthError(
    'SANDBOX_STATE_CONFLICT',
    `the sandbox ${record.name} is ${record.state} and cannot ${wanted}`,
    { hint: `Type \`hearth ${instead} ${record.name}\`.`, details: { ...about(record), wanted } },
  );
}

/** What waits for a sandbox that somebody ends on purpose gets. */
export function stoppedError(record: Named): HearthError {
  return new HearthError('SANDBOX_STOPPED', `the sandbox ${record.name} was stopped`, {
    hint: `Type \`hearth start ${record.name}\` to start it again.`,
    details: about(record),
  });
}

/** The VM of a record is gone, and nobody was there to see it end. */
export function vmLostError(record: Named, vmm?: ProcessIdentity): HearthError {
  return new HearthError(
    'VM_EXITED',
    `the VM of the sandbox ${record.name} ended while hearth was not running`,
    {
      hint: `Type \`hearth start ${record.name}\`: its disk is as the VM left it.`,
      details: { ...about(record), ...(vmm === undefined ? {} : { pid: vmm.pid }) },
    },
  );
}
