/** The golden vectors of `protocol/vectors`, as TypeScript reads them; `guest/agent/test/vectors.h` is the other reader. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const DIRECTORY = fileURLToPath(new URL('../../protocol/vectors/', import.meta.url));

/** Rows of a vector file: tab-separated; lines with # and empty ones are comments. */
export function readVectors(name: string): string[][] {
  return readFileSync(`${DIRECTORY}${name}`, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split('\t'));
}

function quoted(bytes: Uint8Array): string {
  const plain = (byte: number): boolean => byte > 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c;
  const text = [...bytes].map((byte) =>
    plain(byte) ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`,
  );
  return `"${text.join('')}"`;
}

/** The fields of a message as the vectors write them: `flags=1 argv=["ls"] rlimits=[{resource=7 …}]`. */
export function fieldsText(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (typeof value === 'string') return quoted(Buffer.from(value));
  if (value instanceof Uint8Array) return quoted(value);
  if (Array.isArray(value)) return `[${value.map(fieldsText).join(',')}]`;
  const fields = Object.entries(value as Readonly<Record<string, unknown>>);
  return `{${fields.map(([key, field]) => `${key}=${fieldsText(field)}`).join(' ')}}`;
}
