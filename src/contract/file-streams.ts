/** Files of a running sandbox as streams. */
import { posix } from 'node:path';
import { Readable } from 'node:stream';
import type { z } from 'zod';
import type { SandboxFiles } from '../sandboxes/index.js';
import { fileJson } from './file-handlers.js';
import type { FILE_DOWNLOADS, FILE_UPLOADS } from './file-operations.js';

interface Options {
  readonly signal?: AbortSignal;
}
type DownloadInput<N extends keyof typeof FILE_DOWNLOADS> = z.output<(typeof FILE_DOWNLOADS)[N]['input']>;
type UploadInput<N extends keyof typeof FILE_UPLOADS> = z.output<(typeof FILE_UPLOADS)[N]['input']>;
type Content = AsyncIterable<Uint8Array>;

export function fileDownloads(files: SandboxFiles) {
  return {
    'file.read': async ({ sandbox, path, ...range }: DownloadInput<'file.read'>, options: Options) => {
      const file = fileJson(await files.stat(sandbox, path, { follow: true, ...options }));
      const content = bytes(files.read(sandbox, path, { ...range, ...options }));
      return { head: { file: { ...file, target: null } }, content };
    },
    'tree.read': async ({ sandbox, path, name }: DownloadInput<'tree.read'>, options: Options) => {
      const { kind } = await files.stat(sandbox, path, options);
      const root = name ?? (posix.basename(path) || '.');
      return { head: { kind, name: root }, content: bytes(files.readTar(sandbox, path, root, options)) };
    },
  };
}

export function fileUploads(files: SandboxFiles) {
  return {
    'file.write': async (
      { sandbox, path, ...attributes }: UploadInput<'file.write'>,
      content: Content,
      options: Options,
    ) => ({ file: fileJson(await files.write(sandbox, path, content, { ...attributes, ...options })) }),
    'tree.write': async (
      { sandbox, path, keepOwners }: UploadInput<'tree.write'>,
      content: Content,
      options: Options,
    ) => ({
      entryCount: await files.writeTar(sandbox, path, content, {
        keepOwners: keepOwners === true,
        ...options,
      }),
    }),
  };
}

function bytes(source: AsyncIterable<Uint8Array>): Readable {
  return Readable.from(source, { objectMode: false });
}
