/** The files of a running sandbox. Paths are of the guest; a relative one begins at `/`. */
import type { Readable } from 'node:stream';
import type {
  DownloadInput,
  OperationInput,
  OperationOutput,
  Service,
  UploadInput,
} from '../contract/index.js';
import { HearthError } from '../errors/index.js';
import { type CopiedIn, type CopyOptions, type CopyOutOptions, copyIn, copyOut } from './copy.js';

type Without<T> = Omit<T, 'sandbox' | 'path'>;
type Copied = Awaited<ReturnType<typeof copyOut>>;

export type FileInfo = OperationOutput<'file.stat'>['file'];
export type FileEntry = OperationOutput<'file.list'>['entries'][number];
export type FileContent =
  | string
  | Uint8Array
  | Iterable<string | Uint8Array>
  | AsyncIterable<string | Uint8Array>;

export interface StreamOptions {
  readonly signal?: AbortSignal | undefined;
}
export interface ListOptions extends Without<OperationInput<'file.list'>> {}
export interface MakeDirectoryOptions extends Without<OperationInput<'file.mkdir'>> {}
export interface RemoveFileOptions extends Without<OperationInput<'file.remove'>> {}
export interface ReadStreamOptions extends Without<DownloadInput<'file.read'>>, StreamOptions {}
export interface ReadOptions extends ReadStreamOptions {
  /** The most that is held in memory. Default 64 MiB. */
  readonly maxBytes?: number | undefined;
}
export interface WriteOptions extends Without<UploadInput<'file.write'>>, StreamOptions {}
export interface ReadTreeOptions extends Without<DownloadInput<'tree.read'>>, StreamOptions {}
export interface WriteTreeOptions extends Without<UploadInput<'tree.write'>>, StreamOptions {}

const DEFAULT_MAX_READ_BYTES = 64 * 1024 * 1024;

export class SandboxFiles {
  readonly #service: Service;
  readonly #sandbox: string;

  /** @internal */
  constructor(service: Service, sandbox: string) {
    this.#service = service;
    this.#sandbox = sandbox;
  }

  /** @throws {HearthError} `GUEST_FILE_NOT_FOUND`, `GUEST_FILE_DENIED`. */
  async stat(path: string, options: { readonly follow?: boolean } = {}): Promise<FileInfo> {
    return (await this.#service.call('file.stat', this.#at(path, options))).file;
  }

  /** By name, the first 10,000 or `maxEntries` of them; with `recursive` all below, too. */
  async list(
    path: string,
    options: ListOptions = {},
  ): Promise<{ readonly entries: FileEntry[]; readonly truncated: boolean }> {
    return await this.#service.call('file.list', this.#at(path, options));
  }

  /** @throws {HearthError} `CONTENT_TOO_LARGE` beyond `maxBytes`; `GUEST_FILE_…`. */
  async read(path: string, options: ReadOptions = {}): Promise<Buffer> {
    const { maxBytes = DEFAULT_MAX_READ_BYTES, ...rest } = options;
    const content = await this.readStream(path, rest);
    const pieces: Uint8Array[] = [];
    let sizeBytes = 0;
    // Leaving the loop destroys the stream, and ends the transfer.
    for await (const piece of content as AsyncIterable<Uint8Array>) {
      sizeBytes += piece.byteLength;
      if (sizeBytes > maxBytes) {
        throw new HearthError('CONTENT_TOO_LARGE', `${path} has more than ${maxBytes} bytes`, {
          hint: 'Read it with files.readStream, in parts, or with a larger maxBytes.',
          details: { path, maxBytes },
        });
      }
      pieces.push(piece);
    }
    return Buffer.concat(pieces);
  }

  /** As `read`, as UTF-8. */
  async readText(path: string, options: ReadOptions = {}): Promise<string> {
    return (await this.read(path, options)).toString('utf8');
  }

  /** The content as it comes, no faster than it is read. It fails when not all of it arrives; destroy it to give up. */
  async readStream(path: string, options: ReadStreamOptions = {}): Promise<Readable> {
    const { signal, ...range } = options;
    return (await this.#service.download('file.read', this.#at(path, range), only(signal))).content;
  }

  /** Puts a file there, whole or not at all; one that is there is replaced. Streams are taken as fast as the guest writes. */
  async write(path: string, content: FileContent, options: WriteOptions = {}): Promise<FileInfo> {
    const { signal, ...attributes } = options;
    const input = this.#at(path, attributes);
    return (await this.#service.upload('file.write', input, bytesOf(content), only(signal))).file;
  }

  async mkdir(path: string, options: MakeDirectoryOptions = {}): Promise<void> {
    await this.#service.call('file.mkdir', this.#at(path, options));
  }

  async remove(path: string, options: RemoveFileOptions = {}): Promise<void> {
    await this.#service.call('file.remove', this.#at(path, options));
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#service.call('file.rename', { sandbox: this.#sandbox, from, to });
  }

  /** A file, or a directory with all that is in it, as a tar archive. */
  async readTar(path: string, options: ReadTreeOptions = {}): Promise<Readable> {
    const { signal, ...wishes } = options;
    return (await this.#service.download('tree.read', this.#at(path, wishes), only(signal))).content;
  }

  /** Unpacks a tar archive into a directory that is there. @returns How many entries it had. */
  async writeTar(path: string, archive: FileContent, options: WriteTreeOptions = {}): Promise<number> {
    const { signal, ...wishes } = options;
    const input = this.#at(path, wishes);
    return (await this.#service.upload('tree.write', input, bytesOf(archive), only(signal))).entryCount;
  }

  /** Copies a file or directory of this host into the sandbox, as `hearth cp` does. */
  async upload(hostPath: string, path: string, options: CopyOptions = {}): Promise<CopiedIn> {
    return await copyIn(this.#service, { source: hostPath, sandbox: this.#sandbox, path }, options);
  }

  /** Copies a file or directory out of the sandbox, as `hearth cp` does: nothing outside of `hostPath` is written. */
  async download(path: string, hostPath: string, options: CopyOutOptions = {}): Promise<Copied> {
    return await copyOut(this.#service, { sandbox: this.#sandbox, path, target: hostPath }, options);
  }

  #at<T extends object>(path: string, rest: T): T & { readonly sandbox: string; readonly path: string } {
    return { ...rest, sandbox: this.#sandbox, path };
  }
}

function bytesOf(content: FileContent): AsyncIterable<Uint8Array> {
  const isWhole = typeof content === 'string' || content instanceof Uint8Array;
  const source = isWhole ? [content] : content;
  return (async function* () {
    for await (const piece of source) yield typeof piece === 'string' ? Buffer.from(piece) : piece;
  })();
}

function only(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
