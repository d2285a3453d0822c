/** The disk of a sandbox, running or not: nothing is booted to look at it. Paths begin at its root. */
import type { Readable } from 'node:stream';
import type { OperationInput, OperationOutput, Service } from '../contract/index.js';

interface DiskOptions {
  readonly signal?: AbortSignal | undefined;
}
type Wishes<N extends 'disk.list' | 'disk.diff'> = Omit<OperationInput<N>, 'sandbox' | 'path'> & DiskOptions;

export type DiskChange = OperationOutput<'disk.diff'>['changes'][number];

export class SandboxDisk {
  readonly #service: Service;
  readonly #sandbox: string;

  /** @internal */
  constructor(service: Service, sandbox: string) {
    this.#service = service;
    this.#sandbox = sandbox;
  }

  /** By name, the first 10,000 or `maxEntries` of them; with `recursive` all below, too. */
  async list(path: string, options: Wishes<'disk.list'> = {}): Promise<OperationOutput<'disk.list'>> {
    const { signal, ...wishes } = options;
    return await this.#service.call('disk.list', { ...wishes, ...this.#self, path }, only(signal));
  }

  /**
   * What is other than in its environment, by path: the first 10,000 or `maxChanges`; with `hashes` the SHA-256 of
   * contents as well.
   */
  async diff(options: Wishes<'disk.diff'> = {}): Promise<OperationOutput<'disk.diff'>> {
    const { signal, ...wishes } = options;
    return await this.#service.call('disk.diff', { ...wishes, ...this.#self }, only(signal));
  }

  /** The same as a patch for `git apply`. Destroy the stream to give up. */
  async readPatch({ signal }: DiskOptions = {}): Promise<Readable> {
    return (await this.#service.download('disk.diffPatch', this.#self, only(signal))).content;
  }

  /** The same as the tar archive of an image layer. */
  async readLayer({ signal }: DiskOptions = {}): Promise<Readable> {
    return (await this.#service.download('disk.diffTar', this.#self, only(signal))).content;
  }

  /** The content of one file. @throws {HearthError} `GUEST_FILE_NOT_FOUND`, `GUEST_FILE_INVALID`. */
  async read(path: string, { signal }: DiskOptions = {}): Promise<Readable> {
    return (await this.#service.download('disk.read', { ...this.#self, path }, only(signal))).content;
  }

  /** All of it, or what is at `path`, as a tar archive. */
  async readTar({
    path,
    signal,
  }: DiskOptions & { readonly path?: string | undefined } = {}): Promise<Readable> {
    const input = path === undefined ? this.#self : { ...this.#self, path };
    return (await this.#service.download('disk.tar', input, only(signal))).content;
  }

  get #self(): { readonly sandbox: string } {
    return { sandbox: this.#sandbox };
  }
}

function only(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
