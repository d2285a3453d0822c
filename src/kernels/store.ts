/**
 * The kernels that are installed: `data/kernels/<name>/`, each a bundle (see `bundle.ts`).
 *
 * A bundle appears and disappears by one rename. Writers of one name exclude each other by a lock; a writer
 * that is killed leaves only its staging directory, which the next writer of that name removes.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import { publishDirectory, readFileBounded, withLock } from '../fsx/index.js';
import { fetchAptKernel } from './apt.js';
import { assembleBundle, type BundleSource } from './assemble.js';
import {
  assertKernelName,
  type KernelBundle,
  type KernelRecord,
  kernelCorrupt,
  parseKernelRecord,
  RECORD_FILE,
  toBundle,
} from './bundle.js';

/** Where a kernel can be had from. */
export type KernelSource = {
  readonly kind: 'apt';
  /** A kernel package or a metapackage that depends on one. */
  readonly package: string;
  /** That the downloaded package has to have; null: whatever apt's signed lists say. */
  readonly digest?: string | null;
};

/** The kernel that environments use unless they name another. */
export const DEFAULT_KERNEL_NAME = 'debian-12-cloud';

/** Names that can be had without saying from where. */
export const KERNEL_SOURCES: Readonly<Record<string, KernelSource>> = {
  [DEFAULT_KERNEL_NAME]: { kind: 'apt', package: 'linux-image-cloud-amd64' },
};

export interface KernelOptions {
  readonly signal?: AbortSignal;
  /** Told one short sentence per step. */
  readonly onProgress?: (message: string) => void;
}

export interface PullKernelOptions extends KernelOptions {
  /** Default: what {@link KERNEL_SOURCES} has for the name. */
  readonly source?: KernelSource;
}

export interface ImportKernelOptions extends KernelOptions {
  /** A vmlinuz (bzImage) or an uncompressed vmlinux. */
  readonly kernelPath: string;
  /** `/lib/modules/<release>`; without it the kernel must have everything built in. */
  readonly modulesDirectory?: string;
}

export type KernelEntry =
  | { readonly state: 'ready'; readonly name: string; readonly bundle: KernelBundle }
  | { readonly state: 'corrupt'; readonly name: string; readonly error: HearthError };

export interface KernelStore {
  readonly directory: string;
  /** All entries by name. A damaged one is listed with its error and hides no other. */
  list(): Promise<KernelEntry[]>;
  /**
   * @throws {HearthError} `KERNEL_NOT_FOUND`; `KERNEL_CORRUPT` when the entry is there but its record is not
   *   its own, or a file is missing or has another size. Contents are hashed only by `verify`.
   */
  get(name: string): Promise<KernelBundle>;
  /** `get`, or `pull` when there is no such entry. A damaged entry is an error, not a reason to fetch. */
  ensure(name: string, options?: PullKernelOptions): Promise<KernelBundle>;
  /**
   * Fetches the kernel, replacing an entry of that name, damaged or not.
   *
   * @throws {HearthError} `KERNEL_NOT_FOUND` when the name has no source; what `fetchAptKernel` throws.
   */
  pull(name: string, options?: PullKernelOptions): Promise<KernelBundle>;
  /** @throws {HearthError} `KERNEL_EXISTS` when the name is taken; what `assembleBundle` throws. */
  import(name: string, options: ImportKernelOptions): Promise<KernelBundle>;
  /** Hashes every file. @throws {HearthError} `KERNEL_CORRUPT` naming the first one that differs. */
  verify(name: string, options?: KernelOptions): Promise<KernelBundle>;
  /** Also removes damaged entries. @throws {HearthError} `KERNEL_NOT_FOUND` */
  remove(name: string, options?: KernelOptions): Promise<void>;
}

const MAX_RECORD_BYTES = 1024 * 1024;
/** Not a kernel name, as those begin with a letter or digit. */
const STAGING = '.staging';
const LOCKS = '.locks';

/** @param directory `data/kernels`; created (0700) when something is first written. */
export function openKernelStore(directory: string): KernelStore {
  return new DirectoryKernelStore(directory);
}

class DirectoryKernelStore implements KernelStore {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  async list(): Promise<KernelEntry[]> {
    const names = await this.#names();
    return await Promise.all(
      names.map(async (name): Promise<KernelEntry> => {
        try {
          return { state: 'ready', name, bundle: await this.get(name) };
        } catch (error) {
          if (HearthError.is(error) && error.code === 'KERNEL_CORRUPT')
            return { state: 'corrupt', name, error };
          throw error;
        }
      }),
    );
  }

  async get(name: string): Promise<KernelBundle> {
    assertKernelName(name);
    const directory = join(this.directory, name);
    if (!(await this.#exists(name))) throw await this.#notFound(name);
    const record = parseKernelRecord(await this.#readRecord(name), name);
    for (const { path, sizeBytes } of record.files) {
      const found = await lstat(join(directory, path)).catch(() => undefined);
      if (found?.isFile() !== true) throw kernelCorrupt(name, `${path} is missing`);
      if (found.size !== sizeBytes) {
        throw kernelCorrupt(name, `${path} has ${found.size} bytes, expected ${sizeBytes}`);
      }
    }
    return toBundle(record, directory, bundleDigest(record));
  }

  async ensure(name: string, options: PullKernelOptions = {}): Promise<KernelBundle> {
    try {
      return await this.get(name);
    } catch (error) {
      if (!HearthError.is(error) || error.code !== 'KERNEL_NOT_FOUND') throw error;
    }
    const source = await this.#sourceOf(name, options);
    return await this.#write(name, options, async () =>
      (await this.#exists(name)) ? await this.get(name) : await this.#fetch(name, source, options),
    );
  }

  async pull(name: string, options: PullKernelOptions = {}): Promise<KernelBundle> {
    assertKernelName(name);
    const source = await this.#sourceOf(name, options);
    return await this.#write(name, options, () => this.#fetch(name, source, options));
  }

  async import(name: string, options: ImportKernelOptions): Promise<KernelBundle> {
    assertKernelName(name);
    return await this.#write(name, options, async () => {
      if (await this.#exists(name)) {
        throw new HearthError('KERNEL_EXISTS', `there is a kernel ${name} already`, {
          hint: `Choose another name, or remove that one with \`hearth kernel rm ${name}\`.`,
          details: { name },
        });
      }
      const { kernelPath, modulesDirectory } = options;
      const origin = { kind: 'import', kernel: kernelPath, modules: modulesDirectory ?? null } as const;
      return await this.#publish(name, { kernelPath, modulesDirectory, origin }, options);
    });
  }

  async verify(name: string, options: KernelOptions = {}): Promise<KernelBundle> {
    const bundle = await this.get(name);
    for (const { path, digest } of bundle.files) {
      options.signal?.throwIfAborted();
      const hash = createHash('sha256');
      await pipeline(createReadStream(join(bundle.directory, path)), hash);
      const actual = `sha256:${hash.digest('hex')}`;
      if (actual !== digest) throw kernelCorrupt(name, `${path} has digest ${actual}, expected ${digest}`);
    }
    return bundle;
  }

  async remove(name: string, options: KernelOptions = {}): Promise<void> {
    assertKernelName(name);
    if (!(await this.#exists(name))) throw await this.#notFound(name);
    await this.#write(name, options, () => this.#discard(name));
  }

  async #fetch(name: string, source: KernelSource, options: KernelOptions): Promise<KernelBundle> {
    const download = join(this.#stagingOf(name), 'download');
    await mkdir(download, { recursive: true, mode: 0o700 });
    const kernel = await fetchAptKernel(source, download, options);
    const origin = { kind: 'apt', package: kernel.package, version: kernel.version } as const;
    const { vmlinuzPath: kernelPath, modulesDirectory } = kernel;
    return await this.#publish(name, { kernelPath, modulesDirectory, origin }, options);
  }

  async #publish(name: string, source: BundleSource, options: KernelOptions): Promise<KernelBundle> {
    options.onProgress?.(`preparing kernel ${name}`);
    const staging = join(this.#stagingOf(name), 'bundle');
    await mkdir(staging, { recursive: true, mode: 0o700 });
    await assembleBundle(name, source, staging, options);
    options.signal?.throwIfAborted();
    await this.#discard(name);
    await publishDirectory(staging, join(this.directory, name));
    return await this.get(name);
  }

  /** Moves an entry out of sight, so that a half removed one is never seen; its bytes go with the staging. */
  async #discard(name: string): Promise<void> {
    const old = join(this.#stagingOf(name), 'old');
    try {
      await mkdir(this.#stagingOf(name), { recursive: true, mode: 0o700 });
      await rename(join(this.directory, name), old);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw fileError(error, join(this.directory, name));
    }
  }

  /** Runs `body` as the only writer of `name`, with a staging directory that is empty before and gone after. */
  async #write<T>(name: string, options: KernelOptions, body: () => Promise<T>): Promise<T> {
    const staging = this.#stagingOf(name);
    const lock = options.signal === undefined ? {} : { signal: options.signal };
    return await withLock(
      join(this.directory, LOCKS, name),
      async () => {
        try {
          await rm(staging, { recursive: true, force: true });
          await mkdir(staging, { recursive: true, mode: 0o700 });
          return await body();
        } catch (error) {
          throw fileError(error, staging);
        } finally {
          await rm(staging, { recursive: true, force: true });
        }
      },
      lock,
    );
  }

  #stagingOf(name: string): string {
    return join(this.directory, STAGING, name);
  }

  async #names(): Promise<string[]> {
    try {
      return (await readdir(this.directory)).filter((name) => !name.startsWith('.')).sort();
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw fileError(error, this.directory);
    }
  }

  async #exists(name: string): Promise<boolean> {
    try {
      await lstat(join(this.directory, name));
      return true;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false;
      throw fileError(error, join(this.directory, name));
    }
  }

  async #readRecord(name: string): Promise<string> {
    try {
      const bytes = await readFileBounded(join(this.directory, name, RECORD_FILE), MAX_RECORD_BYTES);
      return bytes.toString('utf8');
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'ENOENT' || errno === 'ENOTDIR') throw kernelCorrupt(name, `it has no ${RECORD_FILE}`);
      if (HearthError.is(error)) throw kernelCorrupt(name, error.message);
      throw fileError(error, join(this.directory, name, RECORD_FILE));
    }
  }

  async #sourceOf(name: string, options: PullKernelOptions): Promise<KernelSource> {
    const source = options.source ?? (Object.hasOwn(KERNEL_SOURCES, name) ? KERNEL_SOURCES[name] : undefined);
    if (source === undefined) throw await this.#notFound(name);
    return source;
  }

  async #notFound(name: string): Promise<HearthError> {
    const installed = await this.#names();
    const known = Object.keys(KERNEL_SOURCES);
    return new HearthError('KERNEL_NOT_FOUND', `no kernel named ${name}`, {
      hint: known.includes(name)
        ? `Fetch it with \`hearth kernel pull ${name}\`.`
        : `Choose one of ${[...new Set([...installed, ...known])].join(', ')}, or bring your own with \`hearth kernel import\`.`,
      details: { name, installed, known },
    });
  }
}

function bundleDigest(record: KernelRecord): string {
  const lines = record.files.map(({ path, digest }) => `${digest} ${path}\n`).sort();
  return `sha256:${createHash('sha256').update(lines.join('')).digest('hex')}`;
}
