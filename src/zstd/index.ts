export { MAX_WINDOW_BYTES, ZstdDecoder } from './decoder.js';
export { ZstdProblem } from './problem.js';
