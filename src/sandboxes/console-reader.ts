/** Reads the recorded console of a sandbox: data of the guest, control characters and all. */
import { type RotatedPiece, readRotated } from './rotated-file.js';
import type { Redactor } from './secrets/redactor.js';

export type ConsolePiece = RotatedPiece;

const FILE = 'console.log';

/** The end of the console, or what came after `cursor`. @param maxBytes Of a piece; what is older is left out. */
export async function readConsole(
  directory: string,
  options: { readonly maxBytes: number; readonly cursor?: string | undefined },
  redactor: Redactor,
): Promise<ConsolePiece> {
  const { bytes, cursor } = await readRotated(directory, FILE, options);
  return { bytes: redactor.bytes(bytes), cursor };
}
