import { HearthError } from '../errors/index.js';

/** What a boot may survive though a resume did not. */
const WARM_FAILURES: ReadonlySet<string> = new Set([
  'VM_EXITED',
  'VMM_REQUEST_FAILED',
  'VMM_TIMEOUT',
  'AGENT_TIMEOUT',
  'AGENT_DISCONNECTED',
  'AGENT_PROTOCOL_INVALID',
  'VM_IDENTITY_UNCONFIRMED',
]);

/** Whether it concerns only the saved VM: a missing VMM or a full disk would stop a boot as well. */
export function isWarmFailure(error: unknown): error is HearthError {
  return HearthError.is(error) && WARM_FAILURES.has(error.code);
}
