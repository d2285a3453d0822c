/**
 * Sockets in a directory of any length: the address of a unix socket holds 107 bytes, and a path through the
 * descriptor of the open directory is always short enough.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { fileError } from '../errors/index.js';

export class SocketDirectory implements AsyncDisposable {
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  static async open(directory: string): Promise<SocketDirectory> {
    try {
      return new SocketDirectory(await open(directory, constants.O_RDONLY | constants.O_DIRECTORY));
    } catch (error) {
      throw fileError(error, directory);
    }
  }

  /** An address for the socket `name` in the directory; good for this process, until it is disposed of. */
  address(name: string): string {
    return `/proc/self/fd/${this.#handle.fd}/${name}`;
  }

  /** Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}
