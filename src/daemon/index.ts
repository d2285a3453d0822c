export { parseListenAddress } from './listen-address.js';
export { type RunDaemonOptions, runDaemon } from './run-daemon.js';
export { readTokenFile } from './token-file.js';
