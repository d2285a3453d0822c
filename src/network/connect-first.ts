/**
 * Connecting to the first of several addresses that answers.
 *
 * Source: RFC 8305 section 5 (connection attempts one after the other, each a little later). The
 * addresses are literals that have been checked; nothing here resolves a name again.
 */
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import type { IpAddress } from './ip-address.js';

/** Opens one TCP connection; half-open streams stay open. Rejects with `signal.reason` when cancelled. */
export type ConnectAddress = (
  address: string,
  port: number,
  options: { readonly signal: AbortSignal },
) => Promise<Duplex>;

const NEXT_ATTEMPT_DELAY_MS = 300;

export const connectTcp: ConnectAddress = (address, port, { signal }) =>
  new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true, keepAlive: true });
    const cancel = () => socket.destroy(signal.reason instanceof Error ? signal.reason : undefined);
    signal.addEventListener('abort', cancel, { once: true });
    socket.once('connect', () => {
      signal.removeEventListener('abort', cancel);
      resolve(socket);
    });
    // Stays for the life of the socket: an error before the caller listens must not end the process.
    socket.on('error', (error) => {
      signal.removeEventListener('abort', cancel);
      reject(signal.aborted ? signal.reason : error);
    });
    socket.once('close', () => reject(signal.reason));
  });

/**
 * Tries the addresses in their order, the next one as soon as one fails or 300 ms have passed.
 *
 * @param addresses At least one.
 * @throws The error of the first attempt when all have failed; `signal.reason` when cancelled.
 */
export function connectFirst(
  addresses: readonly IpAddress[],
  port: number,
  connectAddress: ConnectAddress,
  { signal }: { readonly signal: AbortSignal },
): Promise<{ readonly stream: Duplex; readonly address: IpAddress }> {
  const losers = new AbortController();
  const abandon = () => losers.abort(signal.reason);
  signal.addEventListener('abort', abandon, { once: true });
  let delay: NodeJS.Timeout | undefined;

  const attempts = new Promise<{ stream: Duplex; address: IpAddress }>((resolve, reject) => {
    const waiting = [...addresses];
    let running = 0;
    let won = false;
    let firstError: unknown;
    const attempt = () => {
      clearTimeout(delay);
      const address = waiting.shift();
      if (address === undefined) return;
      running += 1;
      connectAddress(address.text, port, { signal: losers.signal }).then(
        (stream) => {
          if (won || losers.signal.aborted) return void stream.destroy();
          won = true;
          resolve({ stream, address });
        },
        (error: unknown) => {
          running -= 1;
          firstError ??= error;
          if (won || losers.signal.aborted) return;
          if (waiting.length > 0) attempt();
          else if (running === 0) reject(firstError);
        },
      );
      if (waiting.length > 0) delay = setTimeout(attempt, NEXT_ATTEMPT_DELAY_MS);
    };
    losers.signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    if (signal.aborted) abandon();
    else attempt();
  });
  return attempts.finally(() => {
    clearTimeout(delay);
    signal.removeEventListener('abort', abandon);
    losers.abort();
  });
}
