/**
 * The daemon's pool: resumed VMs that wait for the commands of `hearth run`, so many of each environment. One that is
 * claimed is replaced. They are the daemon's own processes and end with it, however it ends.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Environment, EnvironmentStore } from '../../environments/index.js';
import { HearthError } from '../../errors/index.js';
import type { HearthPaths } from '../../fsx/index.js';
import type { AcceleratorWish } from '../../vmm/index.js';
import { chooseAccelerator } from '../accelerator.js';
import { bootSnapshotKey } from '../boot-snapshots/boot-snapshot.js';
import type { MachineSpec } from '../machine-spec.js';
import { PoolServer } from './pool-server.js';
import type { PoolWish } from './pool-wish.js';
import { startWaiting, type WaitingVm } from './waiting-vm.js';

export interface PoolOptions {
  readonly wishes: readonly PoolWish[];
  readonly cpus: number;
  readonly memoryMib: number;
  readonly accelerator: AcceleratorWish;
  /** Told when an environment's VMs all wait for the first time, and why one could not be made. */
  readonly onNote?: (message: string) => void;
}

export interface PoolInfo {
  /** As it was asked for. */
  readonly environment: string;
  readonly size: number;
  readonly waiting: number;
  /** Claimed, and their commands not over. */
  readonly inUse: number;
  /** So many commands got one since the daemon has started. */
  readonly claimed: number;
  /** Why the last attempt to make one failed; null when it did not. */
  readonly error: string | null;
}

interface Shelf {
  readonly wish: PoolWish;
  readonly waiting: WaitingVm[];
  readonly inUse: Set<WaitingVm>;
  claimed: number;
  error: string | null;
  isFilling: boolean;
  isAnnounced: boolean;
}

/** The processor belongs to the command that has just claimed one. */
const REFILL_DELAY_MS = 300;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 60_000;

export class VmPool {
  readonly #paths: HearthPaths;
  readonly #environments: EnvironmentStore;
  readonly #over = new AbortController();
  #shelves: readonly Shelf[] = [];
  #options: PoolOptions | undefined;
  #server: PoolServer | undefined;
  readonly #work = new Set<Promise<void>>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(paths: HearthPaths, environments: EnvironmentStore) {
    this.#paths = paths;
    this.#environments = environments;
  }

  /** Claimed VMs. */
  get activeCount(): number {
    return this.#shelves.reduce((sum, { inUse }) => sum + inUse.size, 0);
  }

  list(): readonly PoolInfo[] {
    return this.#shelves.map(({ wish, waiting, inUse, claimed, error }) => ({
      environment: wish.image,
      size: wish.size,
      waiting: waiting.length,
      inUse: inUse.size,
      claimed,
      error,
    }));
  }

  /** Serves commands from now on, and begins to fill. Once. */
  async open(options: PoolOptions): Promise<void> {
    this.#options = options;
    this.#shelves = options.wishes.map((wish) => ({
      wish,
      waiting: [],
      inUse: new Set(),
      claimed: 0,
      error: null,
      isFilling: false,
      isAnnounced: false,
    }));
    this.#server = await PoolServer.listen(this.#paths, (key) => this.#claim(key));
    for (const shelf of this.#shelves) this.#fill(shelf);
  }

  /** Ends all of its VMs, claimed ones too. Resolves when they are gone. */
  async close(): Promise<void> {
    this.#over.abort(new Error('the pool is closed'));
    await this.#server?.close();
    await Promise.all(this.#work);
    const all = this.#shelves.flatMap(({ waiting, inUse }) => [...waiting.splice(0), ...inUse]);
    await Promise.all(all.map((vm) => vm.close()));
  }

  #claim(key: string): { readonly vm: WaitingVm; readonly done: () => void } | undefined {
    for (const shelf of this.#shelves) {
      const at = shelf.waiting.findIndex((vm) => vm.key === key);
      const [vm] = at === -1 ? [] : shelf.waiting.splice(at, 1);
      if (vm === undefined) continue;
      shelf.claimed += 1;
      shelf.inUse.add(vm);
      this.#fill(shelf, REFILL_DELAY_MS);
      return { vm, done: () => void shelf.inUse.delete(vm) };
    }
    // Perhaps an environment has become another one since.
    for (const shelf of this.#shelves) this.#fill(shelf, REFILL_DELAY_MS);
    return undefined;
  }

  #fill(shelf: Shelf, delayMs = 0): void {
    if (shelf.isFilling || this.#over.signal.aborted) return;
    shelf.isFilling = true;
    const work = this.#fillUp(shelf, delayMs).finally(() => {
      shelf.isFilling = false;
      this.#work.delete(work);
    });
    this.#work.add(work);
  }

  /** Until so many wait as shall, or the pool is closed. Never rejects. */
  async #fillUp(shelf: Shelf, delayMs: number): Promise<void> {
    const { signal } = this.#over;
    let retryMs = FIRST_RETRY_MS;
    let waitMs = delayMs;
    while (!signal.aborted) {
      try {
        await sleep(waitMs, undefined, { signal, ref: false });
        const isFull = await this.#inTurn(() => this.#addOne(shelf));
        shelf.error = null;
        if (isFull) return;
        [waitMs, retryMs] = [0, FIRST_RETRY_MS];
      } catch (error) {
        if (signal.aborted) return;
        const message = error instanceof Error ? error.message : String(error);
        if (message !== shelf.error) this.#options?.onNote?.(`pool: ${shelf.wish.image}: ${message}`);
        shelf.error = message;
        [waitMs, retryMs] = [retryMs, Math.min(retryMs * 2, LONGEST_RETRY_MS)];
      }
    }
  }

  /** @returns Whether all wait. */
  async #addOne(shelf: Shelf): Promise<boolean> {
    const { signal } = this.#over;
    const spec = await this.#specOf(shelf.wish);
    const key = await bootSnapshotKey(spec);
    for (const stale of shelf.waiting.filter((vm) => vm.key !== key)) await this.#discard(shelf, stale);
    if (shelf.waiting.length < shelf.wish.size) {
      const vm = await startWaiting(spec, { paths: this.#paths, signal });
      shelf.waiting.push(vm);
      void vm.exited.then(() => this.#lost(shelf, vm));
    }
    const isFull = shelf.waiting.length >= shelf.wish.size;
    if (isFull && !shelf.isAnnounced) {
      shelf.isAnnounced = true;
      this.#options?.onNote?.(`pool: ${shelf.wish.image}: ${shelf.waiting.length} waiting`);
    }
    return isFull;
  }

  async #specOf({ image }: PoolWish): Promise<MachineSpec> {
    const { signal } = this.#over;
    const options = this.#options;
    if (options === undefined) throw new HearthError('INTERNAL', 'the pool has not been opened');
    const environment: Environment = await this.#environments.ensureInstalled(image, { signal });
    const { accelerator } = await chooseAccelerator(options.accelerator, environment, {
      paths: this.#paths,
      signal,
    });
    const { cpus, memoryMib } = options;
    return { environment, cpus, memoryMib, accelerator };
  }

  /** One that waited has ended by itself. */
  #lost(shelf: Shelf, vm: WaitingVm): void {
    if (this.#over.signal.aborted || !shelf.waiting.includes(vm)) return;
    void this.#discard(shelf, vm).finally(() => this.#fill(shelf, FIRST_RETRY_MS));
  }

  async #discard(shelf: Shelf, vm: WaitingVm): Promise<void> {
    const at = shelf.waiting.indexOf(vm);
    if (at !== -1) shelf.waiting.splice(at, 1);
    await vm.close().catch(() => undefined);
  }

  /** One start at a time, whatever the number of environments. */
  async #inTurn<T>(body: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(body, body);
    this.#turn = turn.catch(() => undefined);
    return await turn;
  }
}
