/** Where decompressed bytes go. */
export interface ByteSink {
  /** Free space, at least one byte. */
  room(): Uint8Array;
  /** Says how much of `room` was filled, and how far the source was read. */
  commit(byteCount: number, sourceBytes: number): void;
  /** Takes a copy. */
  write(bytes: Uint8Array, sourceBytes: number): void;
}
