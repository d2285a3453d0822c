/**
 * Names to addresses with the host's DNS servers.
 *
 * Not `getaddrinfo`: that occupies one of the few threads which also serve the file system, so that a
 * guest asking for names whose servers never answer would stall everything else in this process.
 */
import { Resolver } from 'node:dns/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf } from '../errors/index.js';

/** @returns All addresses of a name, both families; empty when it has none or does not exist. */
export type ResolveHost = (
  name: string,
  options: { readonly signal: AbortSignal },
) => Promise<readonly string[]>;

const TRY_TIMEOUT_MS = 4000;
const TRIES = 3;
/** How long the second family may lag behind the first (RFC 8305 section 3 suggests 50 ms). */
const SECOND_FAMILY_DELAY_MS = 150;

/**
 * Asks for IPv4 and IPv6 at once. The DNS settings are read afresh every time, since a laptop changes
 * networks under a long-lived process.
 *
 * @param servers `ADDRESS[:PORT]` of the servers to ask. Default: those of the host.
 * @returns A function that throws what `node:dns` throws when neither family has an address and one
 *   could not be asked, and `signal.reason` when cancelled.
 */
export function createHostResolver(servers?: readonly string[]): ResolveHost {
  return async (name, { signal }) => {
    signal.throwIfAborted();
    const resolver = new Resolver({ timeout: TRY_TIMEOUT_MS, tries: TRIES });
    if (servers !== undefined) resolver.setServers(servers);
    const cancel = () => resolver.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const families = [addressesOf(resolver.resolve4(name)), addressesOf(resolver.resolve6(name))];
      const found: string[] = [];
      const collected = families.map((family) =>
        family.then((addresses) => {
          found.push(...addresses);
          return addresses.length > 0 ? addresses : Promise.reject(new Error('no address'));
        }),
      );
      const all = Promise.allSettled(collected);
      const first = await Promise.any(collected).then(
        () => true,
        () => false,
      );
      if (first) await Promise.race([all, sleep(SECOND_FAMILY_DELAY_MS, undefined, { ref: false })]);
      else await Promise.all(families);
      signal.throwIfAborted();
      return [...found];
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', cancel);
      resolver.cancel();
    }
  };
}

async function addressesOf(query: Promise<string[]>): Promise<string[]> {
  try {
    return await query;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOTFOUND' || errno === 'ENODATA') return [];
    throw error;
  }
}
