/**
 * The half-MD4 hash that orders the entries of indexed directories.
 * Source: Linux 6.12, Documentation/filesystems/ext4/directory.rst, and RFC 1320 for MD4's functions.
 * Names are hashed as signed bytes, which the superblock's flags say.
 */

const ROUND_2 = 0x5a827999;
const ROUND_3 = 0x6ed9eba1;
const CHUNK_BYTES = 32;
/** The largest hash means "end of directory". */
const END_OF_DIRECTORY = 0xfffffffe;
const DEFAULT_STATE = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];

const words = new Int32Array(8);

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
function f(x: number, y: number, z: number): number {
  return z ^ (x & (y ^ z));
}
function g(x: number, y: number, z: number): number {
  return ((x & y) + ((x ^ y) & z)) | 0;
}
function h(x: number, y: number, z: number): number {
  return x ^ y ^ z;
}
function word(index: number): number {
  return words[index] ?? 0;
}

function mix(state: Int32Array): void {
  const a0 = state[0] ?? 0;
  const b0 = state[1] ?? 0;
  const c0 = state[2] ?? 0;
  const d0 = state[3] ?? 0;
  let a = a0;
  let b = b0;
  let c = c0;
  let d = d0;
  for (let i = 0; i < 8; i += 4) {
    a = rotate((a + f(b, c, d) + word(i)) | 0, 3);
    d = rotate((d + f(a, b, c) + word(i + 1)) | 0, 7);
    c = rotate((c + f(d, a, b) + word(i + 2)) | 0, 11);
    b = rotate((b + f(c, d, a) + word(i + 3)) | 0, 19);
  }
  for (let i = 1; i >= 0; i--) {
    a = rotate((a + g(b, c, d) + word(i) + ROUND_2) | 0, 3);
    d = rotate((d + g(a, b, c) + word(i + 2) + ROUND_2) | 0, 5);
    c = rotate((c + g(d, a, b) + word(i + 4) + ROUND_2) | 0, 9);
    b = rotate((b + g(c, d, a) + word(i + 6) + ROUND_2) | 0, 13);
  }
  for (let i = 3; i >= 1; i -= 2) {
    a = rotate((a + h(b, c, d) + word(i) + ROUND_3) | 0, 3);
    d = rotate((d + h(a, b, c) + word(i + 4) + ROUND_3) | 0, 9);
    c = rotate((c + h(d, a, b) + word(i - 1) + ROUND_3) | 0, 11);
    b = rotate((b + h(c, d, a) + word(i + 3) + ROUND_3) | 0, 15);
  }
  state[0] = a0 + a;
  state[1] = b0 + b;
  state[2] = c0 + c;
  state[3] = d0 + d;
}

/** Spreads up to 32 bytes of the name from `start` over the eight words; what is missing is the length. */
function spread(name: string, start: number): void {
  const left = name.length - start;
  const lengthByte = (left | (left << 8)) & 0xffff;
  const pad = lengthByte | (lengthByte << 16);
  const used = Math.min(left, CHUNK_BYTES);
  words.fill(pad);
  let value = pad;
  for (let i = 0; i < used; i++) {
    value = (((name.charCodeAt(start + i) << 24) >> 24) + (value << 8)) | 0;
    if (i % 4 === 3) {
      words[i >> 2] = value;
      value = pad;
    }
  }
  if (used % 4 !== 0) words[used >> 2] = value;
}

/** The state that a superblock's hash seed stands for. */
export function hashStateOf(seed: Uint8Array): Int32Array {
  const view = new DataView(seed.buffer, seed.byteOffset, 16);
  const state = Int32Array.from([0, 4, 8, 12], (offset) => view.getInt32(offset, true));
  return state.every((value) => value === 0) ? Int32Array.from(DEFAULT_STATE, (value) => value | 0) : state;
}

/**
 * Hashes a name.
 *
 * @param name Latin1, one character a byte.
 * @returns An even number, 0..2^32-4.
 */
export function hashName(initialState: Int32Array, name: string): number {
  const state = Int32Array.from(initialState);
  for (let start = 0; start < name.length; start += CHUNK_BYTES) {
    spread(name, start);
    mix(state);
  }
  const hash = ((state[1] ?? 0) & ~1) >>> 0;
  return hash === END_OF_DIRECTORY ? END_OF_DIRECTORY - 2 : hash;
}
