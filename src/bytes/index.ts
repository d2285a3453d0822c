export { BoundedBytes, type EncodedBytes, encodeBytes, wholeCharacters } from './bounded-bytes.js';
export { updateCrc32c } from './crc32c.js';
export { formatDuration, MAX_DURATION_MS, parseDuration } from './duration.js';
export { formatSize, GIB, KIB, MIB, parseSize } from './size.js';
