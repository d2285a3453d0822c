/** What one command in a fresh VM needs for its secrets, loaded when it has some. */
import type { GuestProcess } from '../../agent/index.js';
import { redactedProcess } from './redacted-process.js';
import { Redactor } from './redactor.js';

export { giveSecrets } from './secret-files.js';

export function coverFor(secrets: ReadonlyMap<string, string>): (process: GuestProcess) => GuestProcess {
  const redactor = new Redactor(secrets.values());
  return (process) => redactedProcess(process, redactor);
}
