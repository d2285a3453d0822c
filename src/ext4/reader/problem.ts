/** The two ways in which a file system is refused. Its bytes are a guest's to choose. */
import { HearthError } from '../../errors/index.js';

/** @param what What was found, where; shown to people. */
export function damaged(what: string, details: Readonly<Record<string, unknown>> = {}): HearthError {
  return new HearthError('FILE_SYSTEM_INVALID', `the file system is damaged: ${what}`, {
    hint: 'Start the sandbox: its kernel mends what can be mended. Or look at it with e2fsck.',
    details,
  });
}

export function unsupported(what: string, details: Readonly<Record<string, unknown>> = {}): HearthError {
  return new HearthError(
    'FILE_SYSTEM_UNSUPPORTED',
    `the file system uses ${what}, which cannot be read here`,
    {
      hint: 'Start the sandbox and read its files there: hearth file list, hearth cp',
      details,
    },
  );
}
