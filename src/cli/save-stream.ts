/** Bytes that a command brings, on stdout or in a file that appears whole. */
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import { stagingName } from '../hostfs/index.js';
import type { CommandContext } from './command.js';
import { escapeControls } from './terminal.js';

const BLOCK_BYTES = 4096;
const ZEROS = Buffer.alloc(BLOCK_BYTES);

/**
 * @param path `-`: stdout, which must not be a terminal.
 * @param options.sparse Leaves out blocks of zeros: for images of disks.
 * @throws {HearthError} `USAGE_INVALID` for a terminal; `DISK_FULL`, `FILE_UNREADABLE`, `FILE_NOT_FOUND`; what
 *   `content` throws. A file that was there stays as it was then.
 */
export async function saveStream(
  content: AsyncIterable<Uint8Array>,
  path: string,
  { stdout }: CommandContext,
  options: { readonly sparse?: boolean } = {},
): Promise<void> {
  if (path !== '-') {
    await saveFile(content, resolve(path), options.sparse === true);
    return;
  }
  if (stdout.isTTY === true) {
    throw new HearthError('USAGE_INVALID', 'a terminal is no place for an archive or an image', {
      hint: 'Name a file with -o FILE, or send it to another program.',
    });
  }
  await sendTo(content, stdout);
}

/** Ends early, and is content, when whoever reads has seen enough. */
export async function sendTo(
  content: AsyncIterable<Uint8Array>,
  stdout: NodeJS.WritableStream,
): Promise<void> {
  // The write tells it as well.
  const onError = (): void => {};
  stdout.on('error', onError);
  try {
    for await (const piece of content) {
      await new Promise<void>((done, reject) => {
        stdout.write(piece, (error) => (error == null ? done() : reject(error)));
      });
    }
  } catch (error) {
    if (errnoOf(error) !== 'EPIPE') throw error;
  }
}

async function saveFile(content: AsyncIterable<Uint8Array>, path: string, sparse: boolean): Promise<void> {
  const staging = join(dirname(path), `${stagingName()}-${basename(path).slice(0, 100)}`);
  try {
    const file = await open(staging, 'wx', 0o600);
    try {
      let position = 0;
      for await (const piece of content) {
        for (const part of sparse ? partsWithContent(piece, position) : [piece]) {
          await file.write(part, 0, part.byteLength, position + part.byteOffset - piece.byteOffset);
        }
        position += piece.byteLength;
      }
      await file.truncate(position);
    } finally {
      await file.close();
    }
    await rename(staging, path);
  } catch (error) {
    await rm(staging, { force: true });
    throw fileError(error, path);
  }
}

/** What is left when blocks of zeros are left out. */
function* partsWithContent(piece: Uint8Array, position: number): Generator<Uint8Array> {
  let start: number | undefined;
  for (let at = 0; at < piece.byteLength; ) {
    const end = Math.min(at + BLOCK_BYTES - ((position + at) % BLOCK_BYTES), piece.byteLength);
    const isZero = Buffer.compare(piece.subarray(at, end), ZEROS.subarray(0, end - at)) === 0;
    if (isZero && start !== undefined) {
      yield piece.subarray(start, at);
      start = undefined;
    } else if (!isZero) {
      start ??= at;
    }
    at = end;
  }
  if (start !== undefined) yield piece.subarray(start);
}

/** For a terminal, without what could take it over. */
export async function* escapedForTerminal(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder();
  for await (const piece of content) {
    yield Buffer.from(escapeControls(decoder.decode(piece, { stream: true })));
  }
}
