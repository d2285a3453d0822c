/** From a channel to a client: the greeting, and what it can show to be wrong. */
import type { Duplex } from 'node:stream';
import { HearthError } from '../errors/index.js';
import { AgentClient, nowNs } from './client.js';
import type { CallOptions } from './connection.js';
import { cleanText } from './errors.js';
import { shakeHands } from './handshake.js';

const DEFAULT_CONNECT_TIMEOUT_MS = 60_000;
const DEFAULT_STALL_TIMEOUT_MS = 30_000;
/** A clock set by a greeting that took longer is set again. */
const STALE_CLOCK_MS = 50;

export interface ConnectOptions extends CallOptions {
  /** Set the guest's clock to the host's; default true. */
  readonly setClock?: boolean;
  /** Close the channel when the guest takes nothing for so long; default 30 s. */
  readonly stallTimeoutMs?: number;
}

/**
 * Greets the agent on the channel, which may still be booting, and takes the channel over.
 *
 * @throws {HearthError} `AGENT_TIMEOUT` (default after 60 s), `AGENT_DISCONNECTED`,
 *   `AGENT_PROTOCOL_INVALID`, `AGENT_GENERATION_UNSUPPORTED`, `AGENT_BOOT_FAILED` when
 *   the agent runs but has no root file system. The channel is destroyed then.
 */
export async function connectAgent(channel: Duplex, options: ConnectOptions = {}): Promise<AgentClient> {
  const { timeoutMs = DEFAULT_CONNECT_TIMEOUT_MS, signal, setClock = true } = options;
  const startedAt = performance.now();
  const handshake = await shakeHands(channel, { timeoutMs, signal, clockNs: setClock ? nowNs() : 0n });
  if (handshake.ready.bootError !== '') {
    channel.destroy();
    const bootError = cleanText(handshake.ready.bootError);
    throw new HearthError('AGENT_BOOT_FAILED', `the guest could not boot: ${bootError}`, {
      hint: 'Verify the environment with `hearth env verify`; pull it again if it is damaged.',
      details: { bootError },
    });
  }
  const client = new AgentClient(channel, handshake, options.stallTimeoutMs ?? DEFAULT_STALL_TIMEOUT_MS);
  const greetedMs = performance.now() - startedAt;
  if (setClock && client.info.isGuest && greetedMs > STALE_CLOCK_MS) {
    // The greeting waited while the guest booted, and the time in it grew old.
    try {
      await client.setClock({ timeoutMs, ...(signal === undefined ? {} : { signal }) });
    } catch (error) {
      client.close();
      throw error;
    }
  }
  return client;
}
