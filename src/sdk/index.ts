export { type ConnectDaemonOptions, connectDaemon, stopDaemon } from './connect-daemon.js';
export { createDaemonClient, type DaemonClientOptions } from './daemon-client.js';
export { checkSocket, type DaemonLocation, daemonLocation, ensureSecureDirectory } from './daemon-socket.js';
export { VERSION_HEADER } from './http-call.js';
export { PROCESS_PROTOCOL } from './remote-process.js';
