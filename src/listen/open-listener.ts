/** A server on the address that the user has chosen. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { errnoOf, HearthError } from '../errors/index.js';
import { type ListenAddress, listenUrl } from './listen-address.js';

/**
 * Listens, and gives the URL with the port that it got.
 *
 * @throws {HearthError} `PORT_IN_USE`, `PORT_ADDRESS_UNAVAILABLE`.
 */
export async function openListener(http: Server, address: ListenAddress): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    http.once('error', (error) => reject(cannotListen(error, address)));
    http.listen(address.port, address.host, resolve);
  });
  const { port } = http.address() as AddressInfo;
  return listenUrl({ host: address.host, port });
}

function cannotListen(error: unknown, { host, port }: ListenAddress): HearthError {
  const isTaken = errnoOf(error) === 'EADDRINUSE';
  return new HearthError(
    isTaken ? 'PORT_IN_USE' : 'PORT_ADDRESS_UNAVAILABLE',
    `cannot listen on ${listenUrl({ host, port })} (${errnoOf(error) ?? 'error'})`,
    {
      hint: isTaken
        ? 'Choose another port for --listen; 0 is any free one.'
        : 'Choose another address for --listen.',
      details: { host, port },
      cause: error,
    },
  );
}
