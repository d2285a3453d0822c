export type { TarEntry, TarEntryKind, TarTimestamp } from './entry.js';
export { displayName } from './failure.js';
export { type TarHandler, TarReader, type TarReaderOptions } from './reader.js';
