/** Git's deltas. Source: "Deltified representation" in gitformat-pack(5). */

/** @returns undefined when the delta is damaged, is for other bytes, or gives more than `maxBytes`. */
export function applyDelta(old: Buffer, delta: Buffer, maxBytes: number): Buffer | undefined {
  let at = 0;
  const size = (): number => {
    let value = 0;
    for (let scale = 1; at < delta.byteLength; scale *= 128) {
      const byte = delta[at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    return Number.NaN;
  };
  if (size() !== old.byteLength) return undefined;
  const newBytes = size();
  if (!(newBytes <= maxBytes)) return undefined;
  const result = Buffer.alloc(newBytes);
  let filled = 0;
  while (at < delta.byteLength) {
    const command = delta[at++] ?? 0;
    let piece: Buffer;
    if ((command & 0x80) !== 0) {
      const number = (bits: number, shift: number): number => {
        let value = 0;
        for (let index = 0; index < bits; index += 1) {
          if ((command & (1 << (index + shift))) !== 0) value += (delta[at++] ?? 0) * 256 ** index;
        }
        return value;
      };
      const offset = number(4, 0);
      const length = number(3, 4) || 0x10000;
      piece = old.subarray(offset, offset + length);
      if (piece.byteLength !== length) return undefined;
    } else {
      piece = delta.subarray(at, at + command);
      at += command;
      if (command === 0 || piece.byteLength !== command) return undefined;
    }
    if (filled + piece.byteLength > newBytes) return undefined;
    piece.copy(result, filled);
    filled += piece.byteLength;
  }
  return filled === newBytes ? result : undefined;
}
