/** `hearth rootfs …`: an image as an ext4 file, without root and without any other program. */
import { lstat, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { openBlobStore, openLayoutImage } from '../../blobs/index.js';
import { formatDuration, formatSize, parseSize } from '../../bytes/index.js';
import { HearthError } from '../../errors/index.js';
import { DEFAULT_PLATFORM, type Image, type Platform, parsePlatform } from '../../oci/index.js';
import type { BlobProgress } from '../../registry/index.js';
import {
  type BuildOnceOptions,
  buildRootfsOnce,
  openArchiveImage,
  parseRootfsDigest,
  type RootfsDigest,
  type RootfsOnceResult,
  rootfsMemoryDirectory,
  verifyRootfs,
} from '../../rootfs/index.js';
import type { Command, CommandContext, ParsedArguments } from '../command.js';
import { withInterrupt } from '../interrupt.js';
import type { Progress } from '../progress.js';
import { JSON_OPTION, PROGRESS_OPTIONS, printJson, progressFor } from '../shared-options.js';

interface OpenedImage {
  readonly image: Image;
  close(): Promise<void>;
}

/**
 * Opens what the user named: a directory is an OCI layout, a file an oci-archive or docker-archive, anything
 * else a reference. `PATH:NAME` chooses one image of several.
 */
async function openImage(
  text: string,
  args: ParsedArguments,
  { paths, env }: CommandContext,
  signal: AbortSignal,
  progress: Progress,
): Promise<OpenedImage> {
  const platform = platformOf(args);
  const local = await findLocal(text);
  if (local?.kind === 'directory') {
    return {
      image: await openLayoutImage(local.path, local.name, { platform, signal }),
      close: async () => {},
    };
  }
  if (local?.kind === 'file') {
    const image = await openArchiveImage(local.path, {
      platform,
      signal,
      ...(local.name === undefined ? {} : { name: local.name }),
    });
    return { image, close: async () => image[Symbol.asyncDispose]() };
  }
  progress.update('build', text, { phase: 'resolve' });
  const blobs = await openBlobStore(join(paths.cache, 'blobs'));
  // Loaded here, because an image on this disk needs neither configuration nor an HTTP client.
  const { loadConfig } = await import('../../config/index.js');
  const { pullImage } = await import('../../registry/index.js');
  const { registry } = await loadConfig(paths);
  const image = await pullImage(text, {
    ...registry,
    blobs,
    platform,
    signal,
    env,
    offline: args.flag('offline'),
    onProgress: downloadProgress(text, progress),
    insecure: [...(registry.insecure ?? []), ...args.list('insecure')],
  });
  return { image, close: async () => image[Symbol.asyncDispose]() };
}

/** Adds up the layers on their way; those that were there already are no download. */
function downloadProgress(text: string, progress: Progress): (blob: BlobProgress) => void {
  const received = new Map<string, BlobProgress>();
  return (blob) => {
    if (blob.state !== 'cached') received.set(blob.digest, blob);
    if (received.size === 0) return;
    let doneBytes = 0;
    let totalBytes = 0;
    for (const { receivedBytes, sizeBytes } of received.values()) {
      doneBytes += receivedBytes;
      totalBytes += sizeBytes;
    }
    progress.update('build', text, { phase: 'download', doneBytes, totalBytes });
  };
}

function platformOf(args: ParsedArguments): Platform {
  const platform = args.text('platform');
  return platform === undefined ? DEFAULT_PLATFORM : parsePlatform(platform);
}

interface LocalImage {
  readonly kind: 'directory' | 'file';
  readonly path: string;
  readonly name?: string;
}

/** The path that `text`, or what stands before its last colon, names on this machine. */
async function findLocal(text: string): Promise<LocalImage | undefined> {
  const colon = text.lastIndexOf(':');
  const candidates = [
    { path: text },
    ...(colon > 0 ? [{ path: text.slice(0, colon), name: text.slice(colon + 1) }] : []),
  ];
  for (const { path, ...rest } of candidates) {
    const found = await lstat(resolve(path)).catch(() => undefined);
    // A bare word is a reference even where a file of that name happens to lie about.
    if (found === undefined || !/[./]/.test(path)) continue;
    if (found.isDirectory()) return { kind: 'directory', path: resolve(path), ...rest };
    if (found.isFile()) return { kind: 'file', path: resolve(path), ...rest };
  }
  return undefined;
}

export const rootfsBuild: Command = {
  name: 'rootfs build',
  summary: 'Turn an image into an ext4 file that boots: in one pass, without root',
  usage: '[OPTIONS] IMAGE|LAYOUT|ARCHIVE -o FILE',
  options: {
    output: { type: 'string', short: 'o', value: 'FILE', help: 'The ext4 file; required' },
    size: { type: 'string', value: 'SIZE', help: 'Its size (default content + 25 %, at least 1G)' },
    platform: { type: 'string', value: 'OS/ARCH', help: 'Platform of the image (default linux/amd64)' },
    'max-content': { type: 'string', value: 'SIZE', help: 'Refuse more content than this (default 32G)' },
    verify: { type: 'string', value: 'DIGEST', help: 'Fail unless the result has this digest' },
    'no-cache': { type: 'boolean', help: 'Convert even if this machine has the same file system' },
    insecure: { type: 'string', multiple: true, value: 'HOST', help: 'Allow plain HTTP and any certificate' },
    offline: { type: 'boolean', help: 'Never touch the network' },
    ...JSON_OPTION,
    ...PROGRESS_OPTIONS,
  },
  positionals: { least: 1, most: 1 },
  examples: [
    'hearth rootfs build debian:12 -o debian.ext4',
    'hearth rootfs build ./layout:latest -o rootfs.ext4 --size 4G',
    'hearth rootfs build image.tar -o rootfs.ext4 --json',
  ],
  async run(args, context) {
    const [source = ''] = args.positionals;
    const output = args.text('output');
    if (output === undefined) {
      throw new HearthError('USAGE_INVALID', 'no output file given', { hint: 'Give one with -o FILE.' });
    }
    const outputPath = resolve(output);
    const verify = args.text('verify');
    const expected = verify === undefined ? undefined : parseRootfsDigest(verify);
    const size = args.text('size');
    const maxContent = args.text('max-content');
    const limits = {
      ...(size === undefined ? {} : { sizeBytes: parseSize(size) }),
      ...(maxContent === undefined ? {} : { maxContentBytes: parseSize(maxContent) }),
    };
    const progress = progressFor(args, context, args.flag('json') ? 'none' : 'plain');
    const result = await withInterrupt(async (signal) => {
      const opened = await openImage(source, args, context, signal, progress);
      try {
        return await buildVerified(opened.image, expected, {
          outputPath,
          memoryDirectory: rootfsMemoryDirectory(context.paths),
          rebuild: args.flag('no-cache') || expected !== undefined,
          alsoAt: () => installedRootfs(context),
          ...limits,
          signal,
          onProgress: ({ compressedBytes, compressedTotalBytes, stage }) =>
            progress.update('build', source, {
              phase: stage === 'layers' ? 'convert' : stage,
              doneBytes: compressedBytes,
              totalBytes: compressedTotalBytes,
            }),
        });
      } finally {
        await opened.close();
      }
    }).finally(() => progress.finish());
    printResult(args, context, result);
    return 0;
  },
};

async function installedRootfs({ paths, env }: CommandContext): Promise<string[]> {
  const { installedRootfsPaths } = await import('../../environments/index.js');
  return await installedRootfsPaths(paths, env);
}

/** Builds; with `expected` the file takes its name only when it has that digest. */
async function buildVerified(
  image: Image,
  expected: RootfsDigest | undefined,
  options: BuildOnceOptions,
): Promise<RootfsOnceResult> {
  if (expected === undefined) return await buildRootfsOnce(image, options);
  const { outputPath } = options;
  const unverifiedPath = `${outputPath}.unverified`;
  try {
    const result = await buildRootfsOnce(image, { ...options, outputPath: unverifiedPath });
    if (result.digest !== expected) {
      throw new HearthError(
        'ROOTFS_DIGEST_MISMATCH',
        `the image gives a root file system of digest ${result.digest}, expected ${expected}`,
        {
          hint: 'Build the same image (by its digest), with the same --size and version of hearth, as when the digest was reported.',
          details: { expected, actual: result.digest },
        },
      );
    }
    await rename(unverifiedPath, outputPath);
    return { ...result, outputPath };
  } finally {
    await rm(unverifiedPath, { force: true });
  }
}

const HOW: Readonly<Record<RootfsOnceResult['origin'], string>> = {
  built: 'built',
  kept: 'unchanged, checked',
  reflink: 'cloned from an earlier build',
  copy: 'copied from an earlier build',
};

function printResult(args: ParsedArguments, context: CommandContext, result: RootfsOnceResult): void {
  if (args.flag('json')) {
    printJson(context, { ...result });
    return;
  }
  const { outputPath, sizeBytes, contentBytes, entryCount, digest, durationsMs, origin } = result;
  context.stdout.write(
    [
      outputPath,
      `  ${formatSize(sizeBytes)}, ${formatSize(contentBytes)} of it content, ${entryCount} entries, ${HOW[origin]} in ${formatDuration(durationsMs.total)}`,
      `  ${digest}`,
      '',
    ].join('\n'),
  );
}

export const rootfsVerify: Command = {
  name: 'rootfs verify',
  summary: 'Check an ext4 file against the digest that `rootfs build` reported',
  usage: 'FILE DIGEST',
  options: {},
  positionals: { least: 2, most: 2 },
  async run(args, context) {
    const [file = '', digest = ''] = args.positionals;
    await withInterrupt((signal) => verifyRootfs(resolve(file), parseRootfsDigest(digest), { signal }));
    context.stdout.write(`${digest}\n`);
    return 0;
  },
};
