import { errnoOf, fileError, HearthError } from '../errors/index.js';

/** The coded form of any failed file operation on a disk; errors that are coded already and abort reasons pass. */
export function diskError(error: unknown, path: string): unknown {
  const coded = fileError(error, path);
  const errno = errnoOf(coded);
  if (errno === undefined || !/^E[A-Z0-9]+$/.test(errno)) return coded;
  return new HearthError('FILE_UNREADABLE', `cannot work on ${path} (${errno})`, {
    hint: 'Check that the path is what its name says (a directory, a disk) and that its file system is healthy.',
    details: { path, errno },
    cause: error,
  });
}

/** Runs a file operation; what it throws names `path`. */
export async function onDisk<T>(path: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw diskError(error, path);
  }
}
