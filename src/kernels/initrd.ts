/**
 * The initrd: hearth's guest agent and the modules it loads, nothing else.
 *
 * ## Contract with the guest agent
 *
 *     /init             the agent, mode 0755, run by the kernel as PID 1
 *     /dev/console      character device 5:1, so that PID 1 has stdin, stdout and stderr
 *     /dev /proc /sys /newroot   empty directories to mount on
 *     /lib/modules/<release>/kernel/…/*.ko   modules, expanded
 *     /hearth/modules   one absolute path of a module a line, in an order in which each can be loaded;
 *                       the agent loads them all, first to last, before it looks for its devices
 *     /hearth/network-modules   the same for a network device, loaded after them with `hearth.network=1`
 *
 * Kernel command line words for the agent: `hearth.root=/dev/vda`, `hearth.rootflags=…` (mount options),
 * `hearth.hostname=…`. The channel is the virtio-serial port named `hearth.agent`.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError } from '../errors/index.js';
import { writeFileAtomic } from '../fsx/index.js';
import { type BundleModule, type KernelBundle, MODULES_DIRECTORY } from './bundle.js';
import { type CpioEntry, writeCpio } from './cpio.js';

/** Every VM has these devices; each further module takes 5 to 30 ms of an emulated boot. */
export const BOOT_MODULES: readonly string[] = [
  ...['virtio_mmio', 'virtio_blk', 'virtio_console', 'virtio_rng', 'virtio_balloon'],
];

/** Only for VMs that have a network device. */
const NETWORK_MODULES: readonly string[] = ['virtio_net'];

/** Another number when the bytes of the same files would be others. */
const NOTE_VERSION = 2;

export interface InitrdOptions {
  readonly agentPath: string;
  /** Where finished initrds are kept, named by what they hold. Created when missing. */
  readonly cacheDirectory: string;
  /** Modules to load at boot, with all they require; those the bundle lacks are built in. Default {@link BOOT_MODULES}. */
  readonly modules?: readonly string[];
}

export interface Initrd {
  readonly path: string;
  /** Of the exact bytes, `sha256:…`. */
  readonly digest: string;
}

/**
 * Builds the initrd of a kernel and agent, or finds it in the cache; the cached bytes are always those that
 * would be built now.
 *
 * @throws {HearthError} `FILE_NOT_FOUND` without the agent; `KERNEL_CORRUPT` without a module.
 */
export async function ensureInitrd(bundle: KernelBundle, options: InitrdOptions): Promise<Initrd> {
  const { agentPath, cacheDirectory, modules = BOOT_MODULES } = options;
  const notes = join(cacheDirectory, 'notes');
  const notePath = join(notes, `${await inputsKey(bundle, agentPath, modules)}.json`);
  const noted = await readNote(notePath, cacheDirectory);
  if (noted !== undefined) return noted;
  const agent = await readFile(agentPath).catch((error: unknown) => {
    throw fileError(error, agentPath);
  });
  const bytes = await packInitrd(bundle, agent, modules);
  const hex = createHash('sha256').update(bytes).digest('hex');
  const path = join(cacheDirectory, `${hex}.cpio`);
  try {
    await mkdir(notes, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw fileError(error, notes);
  }
  const found = await stat(path).catch(() => undefined);
  if (found?.size !== bytes.byteLength) await writeFileAtomic(path, bytes);
  // Spares packing again what is the same.
  await writeFileAtomic(notePath, JSON.stringify({ hex, sizeBytes: bytes.byteLength }));
  return { path, digest: `sha256:${hex}` };
}

/** Stands for everything that goes into an initrd: files by all that stat(2) knows of them, which no one can set back. */
async function inputsKey(bundle: KernelBundle, agentPath: string, names: readonly string[]): Promise<string> {
  const modules = withRequirements(bundle.modules, [...names, ...NETWORK_MODULES]);
  const paths = [agentPath, ...modules.map(({ path }) => join(bundle.directory, MODULES_DIRECTORY, path))];
  const facts = await Promise.all(
    paths.map(async (path) => {
      const found = await stat(path, { bigint: true }).catch(() => undefined);
      return [path, found?.dev, found?.ino, found?.size, found?.mtimeNs, found?.ctimeNs].map(String);
    }),
  );
  const layout = [NOTE_VERSION, bundle.release, names, modules.map(({ path }) => path), facts];
  return createHash('sha256').update(JSON.stringify(layout)).digest('hex');
}

/** What was packed of the same files before, if it is still there. */
async function readNote(path: string, cacheDirectory: string): Promise<Initrd | undefined> {
  try {
    const { hex, sizeBytes } = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    if (typeof hex !== 'string' || !/^[0-9a-f]{64}$/.test(hex)) return undefined;
    const initrd = join(cacheDirectory, `${hex}.cpio`);
    return (await stat(initrd)).size === sizeBytes ? { path: initrd, digest: `sha256:${hex}` } : undefined;
  } catch {
    return undefined;
  }
}

/** The bytes of an initrd; the same bundle and agent always give the same. */
async function packInitrd(
  bundle: KernelBundle,
  agent: Uint8Array,
  names: readonly string[],
): Promise<Uint8Array> {
  const bootModules = withRequirements(bundle.modules, names);
  const networkModules = withRequirements(bundle.modules, NETWORK_MODULES).filter(
    (module) => !bootModules.includes(module),
  );
  const modules = [...bootModules, ...networkModules];
  const guestPath = ({ path }: BundleModule): string => `lib/modules/${bundle.release}/${path}`;
  const listOf = (some: readonly BundleModule[]): Buffer =>
    Buffer.from(some.map((module) => `/${guestPath(module)}\n`).join(''));

  const entries: CpioEntry[] = [
    ...['dev', 'proc', 'sys', 'newroot', 'hearth', ...parents(modules.map(guestPath))].map(
      (path): CpioEntry => ({ kind: 'directory', path, mode: 0o755 }),
    ),
    { kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { kind: 'file', path: 'init', mode: 0o755, data: agent },
    { kind: 'file', path: 'hearth/modules', mode: 0o644, data: listOf(bootModules) },
    { kind: 'file', path: 'hearth/network-modules', mode: 0o644, data: listOf(networkModules) },
  ];
  for (const module of modules) {
    const path = join(bundle.directory, MODULES_DIRECTORY, module.path);
    const data = await readFile(path).catch((error: unknown) => {
      throw fileError(error, path);
    });
    entries.push({ kind: 'file', path: guestPath(module), mode: 0o644, data });
  }
  return writeCpio(entries);
}

/** The modules of those names and all they require, in the order of `all`. */
function withRequirements(all: readonly BundleModule[], names: readonly string[]): BundleModule[] {
  const taken = new Set<string>();
  const take = (name: string): void => {
    const module = all.find((candidate) => candidate.name === name);
    if (module === undefined || taken.has(name)) return;
    taken.add(name);
    for (const needed of module.requires) take(needed);
  };
  for (const name of names) take(name);
  return all.filter(({ name }) => taken.has(name));
}

/** Every directory above the given paths, outermost first, each once. */
function parents(paths: readonly string[]): string[] {
  const all = new Set<string>();
  for (const path of paths) {
    const parts = path.split('/').slice(0, -1);
    for (let depth = 1; depth <= parts.length; depth += 1) all.add(parts.slice(0, depth).join('/'));
  }
  return [...all];
}
