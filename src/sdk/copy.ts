/** Files and directories between this host and a running sandbox, as `cp` and `docker cp` copy them. */
import type { Stats } from 'node:fs';
import { lstat, mkdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Service } from '../contract/index.js';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import { packTree, stagingName, type UnpackResult, unpackTree } from '../hostfs/index.js';
import { type CopySource, type CopyTarget, planCopy, sourceName, withoutSlashes } from './copy-plan.js';

export interface CopyOptions {
  /** Owners stay, and out of a sandbox also set-id bits. Default: root's in the guest, yours here. */
  readonly archive?: boolean | undefined;
  /** Copy what the source links to when it is a symbolic link. Links below it stay links. */
  readonly followLink?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes of contents so far. */
  readonly onBytes?: ((contentBytes: number) => void) | undefined;
}

export interface CopyOutOptions extends CopyOptions {
  /** The most that a sandbox may bring. Default 64 GiB. */
  readonly maxBytes?: number | undefined;
}

export interface CopiedIn {
  readonly entryCount: number;
  readonly contentBytes: number;
}

const MAX_LINKS = 40;

/**
 * Copies `source` of this host to `path` of the sandbox. In the guest files are replaced whole; those copied
 * before something fails stay.
 *
 * @throws {HearthError} `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `COPY_TARGET_CONFLICT`, `GUEST_FILE_…`, and those of
 *   `tree.write`.
 */
export async function copyIn(
  service: Service,
  { source, sandbox, path }: { readonly source: string; readonly sandbox: string; readonly path: string },
  options: CopyOptions = {},
): Promise<CopiedIn> {
  const from = await hostSource(source, options.followLink === true);
  const target = await guestTarget(service, sandbox, path, options.signal);
  const plan = planCopy(from.source, target);
  let contentBytes = 0;
  const content = packTree(from.path, plan.name, {
    keepOwners: options.archive === true,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    onBytes: (bytes) => {
      contentBytes = bytes;
      options.onBytes?.(bytes);
    },
  });
  const input = { sandbox, path: plan.directory, keepOwners: options.archive === true };
  const { entryCount } = await service.upload('tree.write', input, content, signalOf(options));
  return { entryCount, contentBytes };
}

/**
 * Copies `path` of the sandbox to `target` of this host. Something new appears whole or not at all; into what is
 * there files are put one by one, each whole.
 *
 * @throws {HearthError} those of `unpackTree`, `GUEST_FILE_…`, and those of `tree.read`.
 */
export async function copyOut(
  service: Service,
  { sandbox, path, target }: { readonly sandbox: string; readonly path: string; readonly target: string },
  options: CopyOutOptions = {},
): Promise<UnpackResult> {
  const from = await guestSource(service, sandbox, path, options);
  const plan = planCopy(from.source, await hostTarget(target));
  const { content } = await service.download(
    'tree.read',
    { sandbox, path: from.path, name: plan.name },
    signalOf(options),
  );
  const unpack = async (directory: string): Promise<UnpackResult> =>
    await unpackTree(content, directory, {
      only: Buffer.from(plan.name).toString('latin1'),
      keepOwners: options.archive === true,
      ...signalOf(options),
      ...(options.maxBytes === undefined ? {} : { maxBytes: options.maxBytes }),
      ...(options.onBytes === undefined ? {} : { onBytes: options.onBytes }),
    });
  try {
    return plan.isNew ? await whole(plan.directory, plan.name, unpack) : await unpack(plan.directory);
  } finally {
    content.destroy();
  }
}

/** `path` of the sandbox as an archive: its bytes, whose root is called as the file is. */
export async function archiveOut(
  service: Service,
  { sandbox, path }: { readonly sandbox: string; readonly path: string },
  options: CopyOptions = {},
): Promise<AsyncIterable<Uint8Array>> {
  const from = await guestSource(service, sandbox, path, options);
  const name = from.source.contents ? '.' : from.source.name;
  const { content } = await service.download(
    'tree.read',
    { sandbox, path: from.path, name },
    signalOf(options),
  );
  return content;
}

/** Unpacks in a directory of its own beside the target, and gives what came out its name at the end. */
async function whole(
  directory: string,
  name: string,
  unpack: (directory: string) => Promise<UnpackResult>,
): Promise<UnpackResult> {
  const staging = join(directory, stagingName());
  try {
    await mkdir(staging, { mode: 0o700 });
  } catch (error) {
    throw fileError(error, directory);
  }
  try {
    const result = await unpack(staging);
    await rename(join(staging, name), join(directory, name)).catch((error: unknown) => {
      // A device alone is not copied.
      if (errnoOf(error) !== 'ENOENT' || result.skippedCount === 0) throw fileError(error, directory);
    });
    return result;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function hostSource(
  path: string,
  followLink: boolean,
): Promise<{ readonly source: CopySource; readonly path: string }> {
  const { name, contents } = sourceName(path);
  try {
    const follows = followLink || contents || path.endsWith('/');
    const real = follows ? await realpath(path) : withoutSlashes(path);
    const stats = follows ? await stat(path) : await lstat(real);
    const source = { kind: kindOf(stats), name, contents, shown: path };
    if (contents && source.kind !== 'directory') throw notADirectory(path);
    return { source, path: real };
  } catch (error) {
    if (errnoOf(error) === 'ENOTDIR') throw notADirectory(path);
    throw fileError(error, path);
  }
}

async function hostTarget(path: string): Promise<CopyTarget> {
  const common = { shown: path, wantsDirectory: /(?:^|\/)\.{0,2}$/.test(path) };
  try {
    const real = await realpath(path);
    return { ...common, kind: kindOf(await stat(real)), path: real };
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw fileError(error, path);
    return { ...common, kind: 'missing', path: resolve(path) };
  }
}

async function guestSource(
  service: Service,
  sandbox: string,
  given: string,
  options: CopyOptions,
): Promise<{ readonly source: CopySource; readonly path: string }> {
  const path = given.startsWith('/') ? given : `/${given}`;
  const { name, contents } = sourceName(path);
  const real =
    options.followLink === true ? await resolveLinks(service, sandbox, path, options.signal) : path;
  const { file } = await service.call('file.stat', { sandbox, path: real }, signalOf(options));
  const kind = file.kind === 'directory' ? 'directory' : 'other';
  return { source: { kind, name, contents, shown: `${sandbox}:${given}` }, path: real };
}

async function guestTarget(
  service: Service,
  sandbox: string,
  given: string,
  signal: AbortSignal | undefined,
): Promise<CopyTarget> {
  const path = withoutSlashes(given.startsWith('/') ? given : `/${given}`);
  const common = { shown: `${sandbox}:${given}`, wantsDirectory: /(?:^|\/)\.{0,2}$/.test(given) };
  try {
    const { file } = await service.call('file.stat', { sandbox, path, follow: true }, signalOf({ signal }));
    if (file.kind === 'directory') return { ...common, kind: 'directory', path };
    return { ...common, kind: 'other', path: await resolveLinks(service, sandbox, path, signal) };
  } catch (error) {
    if (!HearthError.is(error) || error.code !== 'GUEST_FILE_NOT_FOUND') throw error;
    return { ...common, kind: 'missing', path };
  }
}

/** What a path means when its last part is a link. Its other parts the guest resolves by itself. */
async function resolveLinks(
  service: Service,
  sandbox: string,
  path: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  let current = path;
  for (let links = 0; links <= MAX_LINKS; links += 1) {
    const { file } = await service.call('file.stat', { sandbox, path: current }, signalOf({ signal }));
    if (file.target === null) return current;
    const slash = current.lastIndexOf('/');
    current = file.target.startsWith('/') ? file.target : `${current.slice(0, slash)}/${file.target}`;
  }
  throw new HearthError('GUEST_FILE_INVALID', `too many symbolic links at ${JSON.stringify(path)}`, {
    hint: 'Name the file itself.',
    details: { path },
  });
}

function kindOf(stats: Stats): 'directory' | 'other' {
  return stats.isDirectory() ? 'directory' : 'other';
}

function signalOf({ signal }: CopyOptions): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

function notADirectory(path: string): HearthError {
  return new HearthError('COPY_TARGET_CONFLICT', `${path} is not a directory`, {
    hint: 'Leave out what follows the name of the file.',
    details: { path },
  });
}
