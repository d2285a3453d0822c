/** The operations on disks, carried out here. */
import { Readable } from 'node:stream';
import type { z } from 'zod';
import type { DiskChange, SandboxDisks } from '../sandboxes/index.js';
import type { DISK_DOWNLOADS, DISK_OPERATIONS } from './disk-operations.js';
import { fileJson } from './file-handlers.js';

type Input<N extends keyof typeof DISK_OPERATIONS> = z.output<(typeof DISK_OPERATIONS)[N]['input']>;
type DownloadInput<N extends keyof typeof DISK_DOWNLOADS> = z.output<(typeof DISK_DOWNLOADS)[N]['input']>;
interface Options {
  readonly signal?: AbortSignal;
}

const DEFAULT_LISTED = 10_000;

export function diskHandlers(disks: SandboxDisks) {
  return {
    'disk.list': async ({ sandbox, path, recursive, maxEntries }: Input<'disk.list'>, options: Options) => {
      const found = await disks.list(sandbox, path, {
        ...signalOf(options),
        recursive: recursive === true,
        maxEntries: maxEntries ?? DEFAULT_LISTED,
      });
      const entries = found.entries.map((entry) => ({
        path: Buffer.from(entry.path).toString('utf8'),
        ...fileJson(entry),
      }));
      return { entries, truncated: found.truncated };
    },
    'disk.diff': async ({ sandbox, hashes, maxChanges }: Input<'disk.diff'>, options: Options) => {
      const limit = maxChanges ?? DEFAULT_LISTED;
      const changes: ReturnType<typeof changeJson>[] = [];
      for await (const change of disks.changes(sandbox, { ...signalOf(options), hashes: hashes === true })) {
        if (changes.length === limit) return { changes, truncated: true };
        changes.push(changeJson(change));
      }
      return { changes, truncated: false };
    },
  };
}

export function diskDownloads(disks: SandboxDisks) {
  return {
    'disk.read': async ({ sandbox, path }: DownloadInput<'disk.read'>, options: Options) => {
      const pieces = disks.read(sandbox, path, options);
      const { value: file } = await pieces.next();
      if (file === undefined || file instanceof Uint8Array) throw new Error('a file without what it is');
      return { head: { file: { ...fileJson(file), target: null } }, content: bytes(pieces) };
    },
    'disk.tar': async ({ sandbox, path }: DownloadInput<'disk.tar'>, options: Options) => {
      const whole = path === undefined || /^[/.]*$/.test(path);
      const name = whole ? '.' : (path.split('/').findLast((part) => part !== '') ?? '.');
      return begun(sandbox, disks.readTar(sandbox, path ?? '/', name, options));
    },
    'disk.export': async ({ sandbox }: DownloadInput<'disk.export'>, options: Options) =>
      begun(sandbox, disks.readImage(sandbox, options)),
    'disk.diffTar': async ({ sandbox }: DownloadInput<'disk.diffTar'>, options: Options) =>
      begun(sandbox, disks.changesTar(sandbox, options)),
    'disk.diffPatch': async ({ sandbox }: DownloadInput<'disk.diffPatch'>, options: Options) =>
      begun(sandbox, disks.changesPatch(sandbox, options)),
  };
}

/** Waits for the first bytes, so that what goes wrong before them is an answer of its own. */
async function begun(sandbox: string, source: AsyncGenerator<Uint8Array>) {
  const first = await source.next();
  const all = async function* (): AsyncGenerator<Uint8Array> {
    try {
      if (first.done !== true) yield first.value;
      yield* source;
    } finally {
      await source.return(undefined);
    }
  };
  return { head: { sandbox }, content: bytes(all()) };
}

function changeJson({ change, old, now, parts, oldSha256, sha256 }: DiskChange) {
  const path = `/${Buffer.from((now ?? old)?.entry.path ?? []).toString('utf8')}`;
  const version = (item: typeof old, hash: string | undefined) =>
    item === undefined ? null : { ...fileJson(item.entry), sha256: hash ?? null };
  return { change, path, parts: [...parts], old: version(old, oldSha256), now: version(now, sha256) };
}

function bytes(source: AsyncIterable<unknown>): Readable {
  return Readable.from(source, { objectMode: false });
}

function signalOf({ signal }: Options): Options {
  return signal === undefined ? {} : { signal };
}
