/** The base 85 of Git's binary patches. Source: base85.c and diff.c (`emit_binary_diff_body`) of Git. */

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~';
const VALUES = new Map([...DIGITS].map((digit, value) => [digit, value]));
const BASE = 85;
/** Bytes on one line of a patch. */
const LINE_BYTES = 52;

/** Lines, each with the letter that says how many bytes it has: A..Z are 1..26, a..z are 27..52. */
export function encodeBase85Lines(bytes: Buffer): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.byteLength; at += LINE_BYTES) {
    const piece = bytes.subarray(at, at + LINE_BYTES);
    const count = piece.byteLength;
    const letter = String.fromCharCode(count <= 26 ? 64 + count : 96 + count - 26);
    lines.push(letter + encodeWords(piece));
  }
  return lines;
}

function encodeWords(piece: Buffer): string {
  const padded = Buffer.alloc(Math.ceil(piece.byteLength / 4) * 4);
  piece.copy(padded);
  let text = '';
  for (let at = 0; at < padded.byteLength; at += 4) {
    let word = padded.readUInt32BE(at);
    let digits = '';
    for (let index = 0; index < 5; index += 1) {
      digits = DIGITS.charAt(word % BASE) + digits;
      word = Math.floor(word / BASE);
    }
    text += digits;
  }
  return text;
}

/** The bytes of one line; undefined when it is malformed. */
export function decodeBase85Line(line: string): Buffer | undefined {
  const letter = line.charCodeAt(0);
  const count =
    letter >= 65 && letter <= 90 ? letter - 64 : letter >= 97 && letter <= 122 ? letter - 96 + 26 : 0;
  if (count === 0 || line.length !== 1 + Math.ceil(count / 4) * 5) return undefined;
  const bytes = Buffer.alloc(Math.ceil(count / 4) * 4);
  for (let word = 0; word * 5 + 1 < line.length; word += 1) {
    let value = 0;
    for (const digit of line.slice(1 + word * 5, 6 + word * 5)) {
      const digitValue = VALUES.get(digit);
      if (digitValue === undefined) return undefined;
      value = value * BASE + digitValue;
    }
    if (value > 0xffffffff) return undefined;
    bytes.writeUInt32BE(value, word * 4);
  }
  return bytes.subarray(0, count);
}
