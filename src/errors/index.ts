export { ERROR_CODES, type ErrorCode } from './codes.js';
export { errnoOf, fileError } from './errno.js';
export { HearthError, type HearthErrorJson, type HearthErrorOptions } from './hearth-error.js';
export { ERROR_KINDS, type ErrorKind } from './kinds.js';
