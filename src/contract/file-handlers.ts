/** The operations on files, carried out here. */
import type { z } from 'zod';
import type { GuestFile } from '../agent/index.js';
import type { SandboxFiles } from '../sandboxes/index.js';
import type { FILE_OPERATIONS } from './file-operations.js';

type FileJson = Omit<GuestFile, 'mtimeNs' | 'deviceMajor' | 'deviceMinor' | 'inode' | 'target'> & {
  readonly mtime: string;
  readonly target: string | null;
};

type Input<N extends keyof typeof FILE_OPERATIONS> = z.output<(typeof FILE_OPERATIONS)[N]['input']>;

const DEFAULT_LISTED = 10_000;

export function fileJson({
  kind,
  mode,
  uid,
  gid,
  sizeBytes,
  mtimeNs,
  linkCount,
  target,
}: GuestFile): FileJson {
  return {
    kind,
    mode,
    uid,
    gid,
    sizeBytes,
    mtime: new Date(Number(mtimeNs / 1_000_000n)).toISOString(),
    linkCount,
    target: kind === 'symlink' ? Buffer.from(target).toString('utf8') : null,
  };
}

export function fileHandlers(files: SandboxFiles) {
  return {
    'file.stat': async ({ sandbox, path, follow }: Input<'file.stat'>) => ({
      file: fileJson(await files.stat(sandbox, path, { follow: follow === true })),
    }),
    'file.list': async ({ sandbox, path, recursive, maxEntries }: Input<'file.list'>) => {
      const found = await files.list(sandbox, path, {
        recursive: recursive === true,
        maxEntries: maxEntries ?? DEFAULT_LISTED,
      });
      const entries = found.entries.map((entry) => ({
        path: Buffer.from(entry.path).toString('utf8'),
        ...fileJson(entry),
      }));
      return { entries, truncated: found.truncated };
    },
    'file.mkdir': async ({ sandbox, path, ...options }: Input<'file.mkdir'>) => {
      await files.mkdir(sandbox, path, options);
      return {};
    },
    'file.remove': async ({ sandbox, path, ...options }: Input<'file.remove'>) => {
      await files.remove(sandbox, path, options);
      return {};
    },
    'file.rename': async ({ sandbox, from, to }: Input<'file.rename'>) => {
      await files.rename(sandbox, from, to);
      return {};
    },
  };
}
