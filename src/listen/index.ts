export { type Guard, tokenGuard } from './access.js';
export { type ListenAddress, listenUrl, parseListenAddress } from './listen-address.js';
export { openListener } from './open-listener.js';
export { readTokenFile } from './token-file.js';
