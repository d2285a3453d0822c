/**
 * What a guest wrote, as text for a model: terminal sequences are dropped, and what could hide or disguise text
 * is shown as an escape. Nothing in it can reach a terminal or pass unseen.
 */

/** CSI, OSC and two-character sequences of ECMA-48. */
const SEQUENCES =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes
  /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\^_])/g;
/** C0 and C1 controls but tab and newline, marks that turn the direction of text, and invisible tags. */
const HIDDEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/gu;

export function guestText(text: string): string {
  return text
    .replace(SEQUENCES, '')
    .replace(/\r\n?/g, '\n')
    .replace(HIDDEN, (character) => {
      const code = character.codePointAt(0) ?? 0;
      return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
    });
}

/** Up to the last whole line within the limit. */
export function wholeLines(bytes: Buffer, limitBytes: number): string {
  const end = bytes.lastIndexOf(0x0a, limitBytes - 1);
  return bytes.subarray(0, end < 0 ? 0 : end + 1).toString('utf8');
}

/** Which ends of the bytes may lie inside a character; what is left of that character is dropped. */
export interface Cuts {
  readonly begin?: boolean;
  readonly end?: boolean;
}

/** The text of bytes; what is not UTF-8 becomes U+FFFD. */
export function decodeText(bytes: Buffer, { begin = false, end = false }: Cuts = {}): string {
  return bytes
    .subarray(begin ? beginningOf(bytes) : 0, end ? endOf(bytes) : bytes.byteLength)
    .toString('utf8');
}

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;

/** Past the rest of a character that began before the bytes: at most 3. */
function beginningOf(bytes: Buffer): number {
  let begin = 0;
  while (begin < 3 && isContinuation(bytes[begin])) begin += 1;
  return begin;
}

/** Before a character that does not end within the bytes. */
function endOf(bytes: Buffer): number {
  for (let back = 1; back <= 3 && back <= bytes.byteLength; back += 1) {
    const byte = bytes[bytes.byteLength - back] ?? 0;
    if (isContinuation(byte)) continue;
    const lengthBytes = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return lengthBytes > back ? bytes.byteLength - back : bytes.byteLength;
  }
  return bytes.byteLength;
}
