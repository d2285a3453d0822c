export { applyHunks, type HunksApplied } from './apply-hunks.js';
export { applyBinary, type BinaryHunk } from './binary-hunk.js';
export { type FileVersion, type GitMode, gitMode } from './file-version.js';
export { type FormattedChange, formatChange } from './format-patch.js';
export { assertPatchPath, displayPath } from './git-path.js';
export { type FilePatch, type Hunk, parsePatch } from './parse-patch.js';
