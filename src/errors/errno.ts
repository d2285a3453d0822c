/** Errors of system calls: how to recognise them and the coded form of those a user can mend. */
import { HearthError } from './hearth-error.js';

/** The errno name (`'ENOENT'`) of an error thrown by Node, or undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || HearthError.is(error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/**
 * Gives a failed file operation a code of ours where a user can do something about it
 * (`ENOSPC`, `EDQUOT`, `EACCES`, `EPERM`, `EROFS`, `ENOENT`); returns anything else unchanged.
 *
 * @param path What the operation was on, shown to the user.
 */
export function fileError(error: unknown, path: string): unknown {
  const errno = errnoOf(error);
  const options = { details: { path, errno }, cause: error };
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new HearthError('DISK_FULL', `no space left on the file system of ${path}`, {
        ...options,
        hint: 'Free some space (`hearth cache prune` removes what can be fetched again) and run the same command again.',
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new HearthError('FILE_UNREADABLE', `no permission for ${path} (${errno})`, {
        ...options,
        hint: 'Check the owner and mode of that path, or set HEARTH_HOME to a directory of your own.',
      });
    case 'ENOENT':
      return new HearthError('FILE_NOT_FOUND', `no such file or directory: ${path}`, {
        ...options,
        hint: 'Check the spelling of the path.',
      });
    default:
      return error;
  }
}
