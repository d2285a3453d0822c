/**
 * A tar archive on disk as a set of named members, for reading here and there. Bodies stay where they are; only
 * an archive that is compressed as a whole is unpacked, once, into a temporary file.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { fileError, HearthError } from '../errors/index.js';
import { type TarEntry, TarReader } from '../tar/index.js';
import { compressionInvalid } from './compression-invalid.js';

export interface ArchiveMember {
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

const READ_BYTES = 256 * 1024;
const BLOCK_BYTES = 512;
const MAX_MEMBERS = 100_000;

export class ArchiveFile implements AsyncDisposable {
  /** The tar itself, uncompressed. */
  readonly path: string;
  readonly #file: FileHandle;
  readonly #temporary: string | undefined;
  readonly #members: ReadonlyMap<string, ArchiveMember>;

  private constructor(
    path: string,
    file: FileHandle,
    temporary: string | undefined,
    members: Map<string, ArchiveMember>,
  ) {
    this.path = path;
    this.#file = file;
    this.#temporary = temporary;
    this.#members = members;
  }

  /** @throws {HearthError} `TAR_INVALID`, `TAR_TRUNCATED`, `COMPRESSION_INVALID`, `ENTRIES_TOO_MANY`; see `fileError`. */
  static async open(path: string, signal?: AbortSignal): Promise<ArchiveFile> {
    let temporary: string | undefined;
    let file: FileHandle | undefined;
    try {
      file = await open(path, 'r');
      const magic = Buffer.alloc(2);
      await file.read(magic, 0, 2, 0);
      let tarPath = path;
      if (magic.readUInt16BE(0) === 0x1f8b) {
        await file.close();
        temporary = await mkdtemp(join(tmpdir(), 'hearth-archive-'));
        tarPath = join(temporary, 'archive.tar');
        await unpack(path, tarPath, signal);
        file = await open(tarPath, 'r');
      }
      return new ArchiveFile(tarPath, file, temporary, await indexMembers(file, signal));
    } catch (error) {
      await file?.close();
      if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
      throw fileError(error, path);
    }
  }

  /** The last member of that name, symbolic and hard links followed. */
  find(name: string): ArchiveMember | undefined {
    return this.#members.get(name);
  }

  /** All bytes of a member; undefined when there is none. @throws {HearthError} `MANIFEST_TOO_LARGE` above `maxBytes`. */
  async read(name: string, maxBytes: number): Promise<Buffer | undefined> {
    const member = this.find(name);
    if (member === undefined) return undefined;
    if (member.sizeBytes > maxBytes) {
      throw new HearthError(
        'MANIFEST_TOO_LARGE',
        `${name} has ${member.sizeBytes} bytes, at most ${maxBytes} are read`,
        {
          hint: 'Check that the file is an archive of a container image.',
          details: { name, sizeBytes: member.sizeBytes, limitBytes: maxBytes },
        },
      );
    }
    const bytes = Buffer.alloc(member.sizeBytes);
    for (let at = 0; at < bytes.byteLength; ) {
      const { bytesRead } = await this.#file.read(bytes, at, bytes.byteLength - at, member.offsetBytes + at);
      if (bytesRead === 0) break;
      at += bytesRead;
    }
    return bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
    if (this.#temporary !== undefined) await rm(this.#temporary, { recursive: true, force: true });
  }
}

async function unpack(from: string, to: string, signal: AbortSignal | undefined): Promise<void> {
  const gunzip = createGunzip({ chunkSize: 256 * 1024 });
  try {
    const options = signal === undefined ? {} : { signal };
    await pipeline(
      createReadStream(from, { highWaterMark: READ_BYTES }),
      gunzip,
      createWriteStream(to, { flags: 'wx' }),
      options,
    );
  } catch (error) {
    const isDamage = error instanceof Error && 'code' in error && String(error.code).startsWith('Z_');
    throw isDamage ? compressionInvalid(error.message, gunzip.bytesWritten, error) : error;
  }
}

/** Reads the headers only, block by block, and seeks over the bodies. */
async function indexMembers(
  file: FileHandle,
  signal: AbortSignal | undefined,
): Promise<Map<string, ArchiveMember>> {
  const members = new Map<string, ArchiveMember>();
  const links = new Map<string, string>();
  const { size: fileBytes } = await file.stat();
  let bodyOf: TarEntry | undefined;
  const reader = new TarReader({
    onEntry(entry) {
      const name = cleanName(entry.path);
      if (members.size + links.size >= MAX_MEMBERS) throw tooMany(name);
      if (entry.kind === 'symlink') links.set(name, cleanName(`${name}/../${entry.linkTarget}`));
      if (entry.kind === 'hardlink') links.set(name, cleanName(entry.linkTarget));
      if (entry.kind !== 'file') return;
      links.delete(name);
      members.set(name, { offsetBytes: 0, sizeBytes: entry.sizeBytes });
      // The bytes of a sparse file do not lie in the archive as they read.
      bodyOf = entry.storedBytes === entry.sizeBytes ? entry : undefined;
      if (bodyOf === undefined) members.delete(name);
    },
    onData: () => undefined,
    onFileEnd: () => undefined,
  });
  const block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  for (let position = 0; ; ) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(block, 0, BLOCK_BYTES, position);
    if (bytesRead === 0) break;
    reader.push(block.subarray(0, bytesRead));
    position += bytesRead;
    const { pendingBytes } = reader;
    if (pendingBytes === 0) continue;
    if (position + pendingBytes > fileBytes) break;
    if (bodyOf !== undefined) {
      members.set(cleanName(bodyOf.path), { offsetBytes: position, sizeBytes: bodyOf.sizeBytes });
    }
    reader.skipPending();
    position += pendingBytes;
  }
  reader.finish();
  for (const [name, target] of links) {
    const member = members.get(target);
    if (member !== undefined) members.set(name, member);
  }
  return members;
}

/** Names in archives are looked up, never opened: cleaning them only makes spellings equal. */
function cleanName(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function tooMany(name: string): HearthError {
  return new HearthError('ENTRIES_TOO_MANY', `the archive has more than ${MAX_MEMBERS} members`, {
    hint: 'Check that the file is an archive of a container image.',
    details: { path: name, limit: MAX_MEMBERS },
  });
}
