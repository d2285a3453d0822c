/** The downloads of one pull: each digest once, a few at a time, all ended by the first failure. */
import { setMaxListeners } from 'node:events';
import type { Descriptor, Digest } from '../oci/index.js';
import { BlobDownload, type DownloadContext } from './blob-download.js';

export class Downloads implements AsyncDisposable {
  readonly #context: Omit<DownloadContext, 'signal'>;
  readonly #controller = new AbortController();
  readonly #byDigest = new Map<Digest, BlobDownload>();
  readonly #queue: Array<() => void> = [];
  readonly #callerSignal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  #freeTurns: number;

  constructor(context: Omit<DownloadContext, 'signal'>, maxTransfers: number, signal?: AbortSignal) {
    this.#context = context;
    this.#freeTurns = maxTransfers;
    this.#callerSignal = signal;
    this.#onAbort = () => this.abort(signal?.reason);
    // Every request and every wait listens; there are as many as there are layers on their way.
    setMaxListeners(0, this.#controller.signal);
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (signal?.aborted === true) this.#onAbort();
  }

  /**
   * Starts the download of a blob, or finds the one that was started before.
   *
   * @param options.isUrgent Does not wait for its turn: for small blobs that others wait for.
   */
  start(descriptor: Descriptor, options: { readonly isUrgent?: boolean } = {}): BlobDownload {
    const known = this.#byDigest.get(descriptor.digest);
    if (known !== undefined && known.descriptor.sizeBytes === descriptor.sizeBytes) return known;
    const context = { ...this.#context, signal: this.#controller.signal };
    const turn = options.isUrgent === true ? async () => () => undefined : () => this.#turn();
    const download = new BlobDownload(descriptor, context, turn);
    this.#byDigest.set(descriptor.digest, download);
    // An image that lacks one layer is of no use: the others need not go on. What they have stays for a resume.
    download.done.catch((error: unknown) => this.abort(error));
    return download;
  }

  abort(reason: unknown): void {
    if (!this.#controller.signal.aborted) this.#controller.abort(reason);
    for (const start of this.#queue.splice(0)) start();
  }

  /** Resolves when every download started so far has succeeded, rejects with the first failure; need not be awaited. */
  settled(): Promise<void> {
    const all = Promise.all([...this.#byDigest.values()].map((download) => download.done)).then(
      () => undefined,
    );
    all.catch(() => {
      // Layers reject by themselves, too.
    });
    return all;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#callerSignal?.removeEventListener('abort', this.#onAbort);
    const all = [...this.#byDigest.values()];
    await Promise.allSettled(all.map((download) => download.done));
    await Promise.allSettled(all.map((download) => download.close()));
  }

  /** Turns are given in the order of asking. A turn that was given after an abort is only for noticing it. */
  async #turn(): Promise<() => void> {
    if (this.#freeTurns > 0 || this.#controller.signal.aborted) this.#freeTurns -= 1;
    else await new Promise<void>((resolve) => this.#queue.push(resolve));
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      const next = this.#queue.shift();
      if (next === undefined) this.#freeTurns += 1;
      else next();
    };
  }
}
