export { publishDirectory, readFileBounded, syncDirectory, writeFileAtomic } from './atomic.js';
export { type HearthPaths, hearthPaths } from './hearth-paths.js';
export { acquireLock, type Lock, type LockOptions, withLock } from './lock.js';
export { packageVersion } from './package-version.js';
