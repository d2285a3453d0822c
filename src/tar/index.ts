export { cleanTarPath } from './clean-path.js';
export type { TarEntry, TarEntryKind, TarTimestamp } from './entry.js';
export { displayName } from './failure.js';
export { readTarEntries, type TarItem } from './read-entries.js';
export { type TarHandler, TarReader, type TarReaderOptions } from './reader.js';
export { encodeTarEntry, type NewTarEntry, TAR_END, tarPadding } from './write-entry.js';
