/** The modules directory of a kernel (`/lib/modules/<release>`): which files it has and in which order to load. */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import { detectCompression, expand } from './compression.js';
import { moduleName, readModuleInfo } from './module-info.js';

/** One module, expanded. */
export interface LoadedModule {
  /** Normalised: `virtio_rng`. */
  readonly name: string;
  /** Below the modules directory, without any suffix of compression: `kernel/drivers/block/virtio_blk.ko`. */
  readonly path: string;
  readonly data: Uint8Array;
  /** Names of the modules to load before this one, all of them in the same list. */
  readonly requires: readonly string[];
}

export interface ModuleRequest {
  /** The kernel that will load them: `6.1.0-9-cloud-amd64`. */
  readonly release: string;
  /** Must exist, as a module or built in. */
  readonly required: readonly string[];
  /** Taken when they exist. */
  readonly optional: readonly string[];
}

const MODULE_FILE = /\.ko(?:\.(?:xz|zst|gz))?$/;
const MAX_MODULE_BYTES = 64 * 1024 * 1024;
const MAX_FILES = 20_000;

/**
 * Reads the requested modules and all they depend on, in an order in which they can be loaded.
 *
 * @returns Modules that are built into the kernel are left out.
 * @throws {HearthError} `KERNEL_MODULE_MISSING` when a required module or a dependency is neither there nor
 *   built in; `KERNEL_INVALID` when a module is damaged, built for another release, or part of a circle.
 */
export async function readModules(
  directory: string,
  request: ModuleRequest,
  options: { readonly signal?: AbortSignal } = {},
): Promise<LoadedModule[]> {
  const files = await findModuleFiles(directory);
  const builtIn = await readBuiltIn(directory);
  const loaded = new Map<string, LoadedModule>();
  const open = new Set<string>();

  const visit = async (name: string, neededBy: string | undefined): Promise<boolean> => {
    options.signal?.throwIfAborted();
    if (loaded.has(name)) return true;
    const file = files.get(name);
    if (file === undefined) {
      if (builtIn.has(name) || neededBy === undefined) return false;
      throw missing(name, neededBy, directory);
    }
    if (open.has(name)) {
      throw new HearthError('KERNEL_INVALID', `kernel modules depend on each other in a circle at ${name}`, {
        details: { module: name, directory },
      });
    }
    open.add(name);
    const data = await readModule(join(directory, file), options.signal);
    const info = readModuleInfo(data, `kernel module ${name}`);
    if (info.release !== request.release) throw foreign(name, info.release, request.release);
    const requires: string[] = [];
    for (const needed of info.requires) {
      if (await visit(needed, name)) requires.push(needed);
    }
    for (const wanted of info.wants) {
      if (await visit(wanted, undefined)) requires.push(wanted);
    }
    open.delete(name);
    loaded.set(name, { name, path: file.replace(/\.(?:xz|zst|gz)$/, ''), data, requires });
    return true;
  };

  for (const name of request.required.map(moduleName)) await visit(name, 'every microVM');
  for (const name of request.optional.map(moduleName)) await visit(name, undefined);
  return [...loaded.values()];
}

function missing(name: string, neededBy: string, directory: string): HearthError {
  return new HearthError(
    'KERNEL_MODULE_MISSING',
    `kernel module ${name}, needed by ${neededBy}, is not in ${directory}`,
    {
      hint: 'Give the complete modules directory that belongs to this kernel, for example /lib/modules/$(uname -r).',
      details: { module: name, neededBy, directory },
    },
  );
}

function foreign(name: string, actual: string | undefined, expected: string): HearthError {
  return new HearthError(
    'KERNEL_INVALID',
    `kernel module ${name} is built for ${actual ?? 'no kernel'}, the kernel is ${expected}`,
    {
      hint: 'Give the modules directory that belongs to this kernel.',
      details: { module: name, expected, actual: actual ?? null },
    },
  );
}

/** Name → path below `directory`. The first of two files of one name in the order of their paths wins. */
async function findModuleFiles(directory: string): Promise<Map<string, string>> {
  const root = join(directory, 'kernel');
  try {
    const entries = await readdir(root, { recursive: true, withFileTypes: true });
    const paths = entries
      .filter((entry) => entry.isFile() && MODULE_FILE.test(entry.name))
      .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
      .sort()
      .reverse();
    if (paths.length > MAX_FILES) {
      throw new HearthError('ENTRIES_TOO_MANY', `${root} has ${paths.length} modules, at most ${MAX_FILES}`, {
        details: { path: root, count: paths.length, maxCount: MAX_FILES },
      });
    }
    return new Map(paths.map((path) => [moduleName(basename(path).replace(MODULE_FILE, '')), path]));
  } catch (error) {
    throw fileError(error, root);
  }
}

/** Names listed in `modules.builtin`; a directory without that file has none. */
async function readBuiltIn(directory: string): Promise<Set<string>> {
  try {
    const lines = (await readFile(join(directory, 'modules.builtin'), 'utf8')).split('\n');
    return new Set(lines.map((line) => moduleName(basename(line.trim()).replace(MODULE_FILE, ''))));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return new Set();
    throw fileError(error, join(directory, 'modules.builtin'));
  }
}

async function readModule(path: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const bytes = await readFile(path, signal === undefined ? {} : { signal });
  const format = detectCompression(bytes);
  if (format === undefined) return bytes;
  return await expand(format, bytes, {
    maxBytes: MAX_MODULE_BYTES,
    ...(signal === undefined ? {} : { signal }),
  });
}
