/** Blobs on their way into the store, as layers that can be read while they arrive. */
import { HearthError } from '../errors/index.js';
import type { BlobStore, Descriptor, Digest, ImageLayer, Ingest } from '../oci/index.js';
import { offline } from './documents.js';
import type { Session } from './session.js';
import type { Sources } from './sources.js';
import { transferBlob } from './transfer.js';

export interface BlobProgress {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Bytes in the file by now, also those of earlier attempts. */
  readonly receivedBytes: number;
  readonly state: 'waiting' | 'fetching' | 'done' | 'cached';
}

export interface DownloadContext {
  readonly store: BlobStore;
  readonly sources: Sources;
  /** The reference, for messages. */
  readonly name: string;
  readonly offline: boolean;
  /** Whether blobs that are in the store are hashed. */
  readonly verify: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: BlobProgress) => void;
}

/** How long a finished file can still be opened under the name it had while it grew. */
const LINGER_MS = 60_000;

/** One blob: fetched at most once, however many layers have its digest. */
export class BlobDownload {
  readonly descriptor: Descriptor;
  readonly done: Promise<void>;
  readonly #context: DownloadContext;
  readonly #waiters = new Set<() => void>();
  #ingest: Ingest | undefined;
  #availableBytes = 0;
  #isDone = false;
  #failure: { readonly error: unknown } | undefined;
  #isExposed = false;
  #replacements = 0;
  #linger: NodeJS.Timeout | undefined;

  /** @param turn Resolves when this blob may start; the function it resolves to ends the turn. */
  constructor(descriptor: Descriptor, context: DownloadContext, turn: () => Promise<() => void>) {
    this.descriptor = descriptor;
    this.#context = context;
    this.done = this.#run(turn);
    this.done.catch(() => {
      // Reaches whoever awaits `done` or reads; nobody has to.
    });
  }

  /** See `ImageLayer`. */
  get replacements(): number | undefined {
    return this.#context.sources.sessions.length > 1 ? this.#replacements : undefined;
  }

  /** The path of the growing or finished file. */
  async open(): Promise<string> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#isDone) return this.#context.store.path(this.descriptor.digest);
      // What an earlier process left may be damaged; only a fresh file is shown before it has been verified.
      // Neither is what was wrong once.
      if (this.#ingest !== undefined && this.#ingest.resumedBytes === 0 && this.#replacements === 0) {
        this.#isExposed = true;
        return this.#ingest.path;
      }
      await this.#change();
    }
  }

  async available(offset: number): Promise<number> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#isDone) return this.descriptor.sizeBytes;
      // Whoever asks reads the file that was wrong: the new one has been shown to nobody.
      if (this.#replacements > 0) throw replaced(this.descriptor);
      if (this.#availableBytes > offset && this.#ingest?.resumedBytes === 0) return this.#availableBytes;
      await this.#change();
    }
  }

  /** Lets go of the file that was growing. Idempotent. */
  async close(): Promise<void> {
    clearTimeout(this.#linger);
    const ingest = this.#ingest;
    this.#ingest = undefined;
    await ingest?.[Symbol.asyncDispose]();
  }

  async #run(turn: () => Promise<() => void>): Promise<void> {
    const { store, signal } = this.#context;
    // Asked for at once, so that blobs get their turns in the order in which they were started.
    const myTurn = turn();
    try {
      if (await this.#isStored()) return this.#finish('cached');
      if (this.#context.offline) throw offline(this.#context.name, this.descriptor.digest);
      this.#report('waiting');
      await myTurn;
      signal.throwIfAborted();
      const ingest = await store.ingest(this.descriptor, { signal });
      // Another process has brought it in the meantime.
      if (ingest === undefined) return this.#finish('cached');
      this.#ingest = ingest;
      await this.#fill(ingest);
      this.#finish('done');
      // Whoever was given the path of the growing file gets the time to open it.
      if (this.#isExposed)
        this.#linger = setTimeout(() => void this.close().catch(() => undefined), LINGER_MS).unref();
      else await this.close();
    } catch (error) {
      this.#failure = { error };
      this.#notify();
      // One blob finds the disk full for all; what they have would be in the way of whatever is to free it.
      if (HearthError.is(error) && error.code === 'DISK_FULL') await this.#ingest?.abandon();
      await this.close();
      throw error;
    } finally {
      // Also the turn of a blob that did not need it, whenever it comes.
      void myTurn.then((endTurn) => endTurn());
    }
  }

  async #isStored(): Promise<boolean> {
    const { store, signal, verify } = this.#context;
    if (!(await store.has(this.descriptor))) return false;
    if (!verify || (await store.verify(this.descriptor, { signal }))) return true;
    await store.discard(this.descriptor.digest);
    return false;
  }

  async #fill(ingest: Ingest): Promise<void> {
    const { sessions } = this.#context.sources;
    this.#written(ingest.writtenBytes);
    try {
      await this.#transfer(ingest, sessions);
    } catch (error) {
      // What an earlier process left, or what a mirror sent, was wrong.
      const isForeign = ingest.resumedBytes > 0 || sessions.length > 1;
      const isWrong = HearthError.is(error) && error.code === 'DIGEST_MISMATCH';
      if (!isWrong || !isForeign) throw error;
      this.#ingest = undefined;
      this.#availableBytes = 0;
      if (this.#isExposed) {
        this.#isExposed = false;
        this.#replacements += 1;
        this.#notify();
      }
      try {
        await ingest.restart();
      } finally {
        this.#ingest = ingest;
      }
      await this.#transfer(
        ingest,
        sessions.filter((session) => !session.endpoint.isMirror),
      );
    }
  }

  async #transfer(ingest: Ingest, sessions: readonly Session[]): Promise<void> {
    const { sources, signal } = this.#context;
    await transferBlob(sessions, this.descriptor, ingest, {
      limits: sources.limits,
      signal,
      onWritten: (writtenBytes) => this.#written(writtenBytes),
    });
    await ingest.commit();
  }

  #written(writtenBytes: number): void {
    this.#availableBytes = writtenBytes;
    this.#report('fetching');
    this.#notify();
  }

  #finish(state: 'done' | 'cached'): void {
    this.#isDone = true;
    this.#availableBytes = this.descriptor.sizeBytes;
    this.#report(state);
    this.#notify();
  }

  #report(state: BlobProgress['state']): void {
    const { digest, sizeBytes } = this.descriptor;
    this.#context.onProgress({ digest, sizeBytes, receivedBytes: this.#availableBytes, state });
  }

  #notify(): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.add(resolve);
    });
  }
}

function replaced({ digest, sizeBytes }: Descriptor): HearthError {
  return new HearthError('DIGEST_MISMATCH', `a mirror sent other bytes than ${digest}; fetching it anew`, {
    hint: 'Run the same command again; if it repeats, remove the mirror from the configuration.',
    details: { expected: digest, sizeBytes, isReplaced: true },
  });
}

/** A layer of an image whose blob a download brings. */
export class DownloadedLayer implements ImageLayer {
  readonly diffId: Digest;
  readonly #download: BlobDownload;

  constructor(diffId: Digest, download: BlobDownload) {
    this.diffId = diffId;
    this.#download = download;
  }

  get descriptor(): Descriptor {
    return this.#download.descriptor;
  }

  get done(): Promise<void> {
    return this.#download.done;
  }

  get replacements(): number | undefined {
    return this.#download.replacements;
  }

  open(): Promise<string> {
    return this.#download.open();
  }

  available(offset: number): Promise<number> {
    return this.#download.available(offset);
  }
}
