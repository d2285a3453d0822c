/** Names from outside that become file names: ids of VMs and names of templates. */
import { HearthError } from '../errors/index.js';

const MAX_VM_ID_CHARS = 128;
const MAX_FILE_NAME_BYTES = 255;

/**
 * The directory name of a VM: `[A-Za-z0-9_-]` kept, every other character `_`.
 * Different ids can give one name; `RootfsRegistry` refuses the second.
 *
 * @throws {HearthError} `NAME_INVALID` for an empty id or one of more than 128 characters.
 */
export function safeVmId(vmId: string): string {
  const safe = vmId.replace(/[^A-Za-z0-9_-]/gu, '_');
  if (safe === '' || safe.length > MAX_VM_ID_CHARS) {
    throw new HearthError(
      'NAME_INVALID',
      safe === '' ? 'the id of a VM is empty' : `the id of a VM has ${safe.length} characters`,
      {
        hint: `Give an id of 1 to ${MAX_VM_ID_CHARS} letters, digits, '-' or '_'.`,
        details: { vmId: vmId.slice(0, MAX_VM_ID_CHARS), maxChars: MAX_VM_ID_CHARS },
      },
    );
  }
  return safe;
}

/** Whether `name` names an entry of a directory and nothing else, above or below it. */
export function isFileName(name: string): boolean {
  return (
    name !== '' &&
    name !== '.' &&
    name !== '..' &&
    !/[/\0]/.test(name) &&
    Buffer.from(name).toString() === name &&
    Buffer.byteLength(name) <= MAX_FILE_NAME_BYTES
  );
}

/** @throws {HearthError} `NAME_INVALID` when `name` could lead out of the template directory. */
export function assertTemplateName(name: string): void {
  if (isFileName(name)) return;
  throw new HearthError(
    'NAME_INVALID',
    `not the name of a template: ${JSON.stringify(name.slice(0, MAX_FILE_NAME_BYTES))}`,
    {
      hint: 'Run `hearth disk templates` and give one of the names it lists.',
      details: { name: name.slice(0, MAX_FILE_NAME_BYTES) },
    },
  );
}
