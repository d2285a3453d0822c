/**
 * A directory of this host that is held open, so that what is done in it is done in it: names are looked up below
 * `/proc/self/fd/<number>`, which leads to the directory itself however paths change meanwhile. What `openat` is
 * to C.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { errnoOf, fileError, HearthError } from '../errors/index.js';

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY;

export class OpenDirectory implements AsyncDisposable {
  readonly handle: FileHandle;
  /** As it was opened, for people. */
  readonly shownPath: string;

  private constructor(handle: FileHandle, shownPath: string) {
    this.handle = handle;
    this.shownPath = shownPath;
  }

  /** Follows links: the path is the user's own. @throws {HearthError} `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `COPY_TARGET_CONFLICT`. */
  static async open(path: string): Promise<OpenDirectory> {
    try {
      return new OpenDirectory(await open(path, DIRECTORY), path);
    } catch (error) {
      if (errnoOf(error) === 'ENOTDIR') throw inTheWay(path, 'is not a directory', error);
      throw fileError(error, path);
    }
  }

  /** Something in it, as a path that only this process can use, and only until it is closed. */
  at(name: string): Buffer {
    return Buffer.concat([Buffer.from(`/proc/self/fd/${this.handle.fd}/`), Buffer.from(name, 'latin1')]);
  }

  /** Its own path of that kind. */
  get self(): string {
    return `/proc/self/fd/${this.handle.fd}`;
  }

  /** A directory in it, never through a link. @throws {HearthError} `COPY_TARGET_CONFLICT`. */
  async descend(name: string): Promise<OpenDirectory> {
    const shown = this.shown(name);
    try {
      return new OpenDirectory(await open(this.at(name), DIRECTORY | constants.O_NOFOLLOW), shown);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno !== 'ENOTDIR' && errno !== 'ELOOP') throw fileError(error, shown);
      const link = await lstat(this.at(name)).then(
        (stats) => stats.isSymbolicLink(),
        () => false,
      );
      throw inTheWay(shown, link ? 'is a symbolic link, which is not followed' : 'is not a directory', error);
    }
  }

  shown(name: string): string {
    const text = Buffer.from(name, 'latin1').toString('utf8');
    return this.shownPath.endsWith('/') ? `${this.shownPath}${text}` : `${this.shownPath}/${text}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.handle.close();
  }
}

/** A name that nobody uses. */
export function stagingName(): string {
  return `.hearth-${randomBytes(8).toString('hex')}`;
}

export function inTheWay(path: string, what: string, cause?: unknown): HearthError {
  return new HearthError('COPY_TARGET_CONFLICT', `${path} ${what}`, {
    hint: 'Copy to another place, or move what is there out of the way.',
    details: { path },
    ...(cause === undefined ? {} : { cause }),
  });
}
