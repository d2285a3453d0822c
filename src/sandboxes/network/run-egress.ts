/** What a guest may reach: an egress proxy on the host behind a port on the guest's own loopback. */
import type { AgentClient } from '../../agent/index.js';
import {
  createEgressProxy,
  type EgressEvent,
  type EgressPolicy,
  proxyEnvironment,
} from '../../network/index.js';

export interface Egress {
  /** Variables that make the guest's programs use the proxy. */
  readonly env: Readonly<Record<string, string>>;
  /** Cuts every connection. Idempotent. */
  close(): void;
}

/**
 * Opens the proxy for a guest.
 *
 * @throws {HearthError} `HOST_PATTERN_INVALID`; what `agent.listen` throws.
 */
export async function openEgress(
  agent: AgentClient,
  policy: EgressPolicy,
  onDecision: (event: EgressEvent) => void,
): Promise<Egress> {
  const proxy = createEgressProxy({ policy, onDecision });
  const listener = await agent.listen({ port: 0 }, (stream) => proxy.handle(stream));
  return {
    env: proxyEnvironment(listener.port),
    close: () => {
      listener.close();
      proxy.close();
    },
  };
}
