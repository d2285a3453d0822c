/** A file as patches know it: what it is and what is in it. */
import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';

export interface FileVersion {
  readonly kind: 'file' | 'symlink';
  /** Of a file: whether somebody may execute it. */
  readonly executable: boolean;
  /** The bytes of a file, or the target of a link. */
  readonly content: Buffer;
}

export type GitMode = '100644' | '100755' | '120000';

/** Git looks for a NUL here, and so does everybody who reads its patches. */
const SNIFFED_BYTES = 8000;

export function gitMode({ kind, executable }: Pick<FileVersion, 'kind' | 'executable'>): GitMode {
  return kind === 'symlink' ? '120000' : executable ? '100755' : '100644';
}

/** Name of the content in a Git repository. */
export function gitBlobId(content: Uint8Array): string {
  return createHash('sha1').update(`blob ${content.byteLength}\0`).update(content).digest('hex');
}

/** Whether a patch shows it line by line; bytes that are not UTF-8 count as binary too, so that patches are text. */
export function isText(content: Uint8Array): boolean {
  return !content.subarray(0, SNIFFED_BYTES).includes(0) && isUtf8(content);
}
