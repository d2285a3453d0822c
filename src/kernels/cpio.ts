/**
 * The cpio "newc" archive, the only form that the kernel unpacks as an initrd.
 *
 * Source: Linux 6.1, Documentation/driver-api/early-userspace/buffer-format.rst.
 * Writes; never reads. The same entries always give the same bytes.
 */
import { HearthError } from '../errors/index.js';

export type CpioEntry =
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number }
  | { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly data: Uint8Array }
  | {
      readonly kind: 'character-device';
      readonly path: string;
      readonly mode: number;
      readonly major: number;
      readonly minor: number;
    };

const TYPE_BITS = { directory: 0o040000, file: 0o100000, 'character-device': 0o020000 } as const;
const NO_DATA = new Uint8Array(0);
const MAX_FIELD = 0xffffffff;
/** The kernel refuses longer names (PATH_MAX with the closing NUL). */
const MAX_NAME_BYTES = 4095;

/**
 * Builds an archive: entries in the given order, owner 0:0, time 0.
 *
 * @param entries A directory must stand before what is in it; paths are relative, without `.` or `..`.
 * @throws {HearthError} `NAME_INVALID` for any other path, `FILE_TOO_LARGE` from 4 GiB on.
 */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const chunks: Uint8Array[] = [];
  const add = (inode: number, entry: CpioEntry | 'trailer'): void => {
    const path = entry === 'trailer' ? 'TRAILER!!!' : entry.path;
    const data = entry !== 'trailer' && entry.kind === 'file' ? entry.data : NO_DATA;
    const device = entry !== 'trailer' && entry.kind === 'character-device' ? entry : undefined;
    if (data.byteLength > MAX_FIELD) {
      throw new HearthError('FILE_TOO_LARGE', `${path}: a cpio archive holds files below 4 GiB`, {
        details: { path, sizeBytes: data.byteLength, maxBytes: MAX_FIELD },
      });
    }
    const name = Buffer.from(`${path}\0`, 'utf8');
    const fields = [
      inode,
      entry === 'trailer' ? 0 : TYPE_BITS[entry.kind] | (entry.mode & 0o7777),
      0,
      0,
      entry !== 'trailer' && entry.kind === 'directory' ? 2 : 1,
      0,
      data.byteLength,
      0,
      0,
      device?.major ?? 0,
      device?.minor ?? 0,
      name.byteLength,
      0,
    ];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
    chunks.push(padded(Buffer.concat([Buffer.from(header, 'latin1'), name])), padded(data));
  };
  for (const [index, entry] of entries.entries()) {
    assertPath(entry.path);
    add(index + 1, entry);
  }
  add(0, 'trailer');
  return Buffer.concat(chunks);
}

/** The bytes followed by NULs up to a multiple of four, which is where every header and file starts. */
function padded(bytes: Uint8Array): Uint8Array {
  const rest = bytes.byteLength % 4;
  return rest === 0 ? bytes : Buffer.concat([bytes, new Uint8Array(4 - rest)]);
}

function assertPath(path: string): void {
  const bad = path.split('/').some((part) => part === '' || part === '.' || part === '..');
  if (bad || path.includes('\0') || path === 'TRAILER!!!' || Buffer.byteLength(path) > MAX_NAME_BYTES) {
    throw new HearthError('NAME_INVALID', `not a path for a cpio archive: ${JSON.stringify(path)}`, {
      details: { path },
    });
  }
}
