/** The bytes of a binary file in a patch, whole (`literal`) or as what changes in the old ones (`delta`). */
import { inflateSync } from 'node:zlib';
import { decodeBase85Line } from './base85.js';
import { applyDelta } from './git-delta.js';
import type { PatchLines } from './patch-lines.js';

export interface BinaryHunk {
  readonly kind: 'literal' | 'delta';
  readonly bytes: Buffer;
}

const MAX_BYTES = 64 * 1024 * 1024;
const START = /^(literal|delta) (\d{1,10})\s*$/;

/** Reads the forward half; a backward one that follows is passed over. */
export function readBinaryHunk(lines: PatchLines): BinaryHunk {
  lines.next();
  const forward = readHalf(lines);
  if (forward === undefined) throw lines.invalid('a binary patch without its bytes');
  if (START.test(lines.peek())) readHalf(lines);
  return forward;
}

function readHalf(lines: PatchLines): BinaryHunk | undefined {
  const start = START.exec(lines.peek());
  if (start === null) return undefined;
  const sizeBytes = Number(start[2]);
  if (sizeBytes > MAX_BYTES) throw lines.invalid(`a binary file of ${sizeBytes} bytes`);
  lines.next();
  const pieces: Buffer[] = [];
  for (;;) {
    const line = lines.next().replace(/\r?\n$/, '');
    if (line === '') break;
    const piece = decodeBase85Line(line);
    if (piece === undefined) throw lines.invalid('a line of bytes that is damaged');
    pieces.push(piece);
  }
  let bytes: Buffer;
  try {
    bytes = inflateSync(Buffer.concat(pieces), { maxOutputLength: Math.max(1, sizeBytes) });
  } catch {
    throw lines.invalid('bytes that do not unpack to the size they are said to have');
  }
  if (bytes.byteLength !== sizeBytes) {
    throw lines.invalid(`${bytes.byteLength} bytes where ${sizeBytes} are announced`);
  }
  return { kind: start[1] === 'delta' ? 'delta' : 'literal', bytes };
}

/** @returns undefined when a delta does not fit the old bytes. */
export function applyBinary(old: Buffer, { kind, bytes }: BinaryHunk): Buffer | undefined {
  return kind === 'literal' ? bytes : applyDelta(old, bytes, MAX_BYTES);
}
