/**
 * The way out of a sandbox that is kept: one egress proxy for as long as its policy lets anything through, behind
 * a port on the guest's loopback that is opened again with every new conversation with the guest's agent.
 */
import type { AgentClient, GuestListener } from '../../agent/index.js';
import { HearthError } from '../../errors/index.js';
import { createEgressProxy, type EgressProxy, proxyEnvironment } from '../../network/index.js';
import { EgressJournal } from './egress-journal.js';
import { egressPolicyOf, type NetworkRecord, PREFERRED_PROXY_PORT } from './network-record.js';

/** The record that says what is let through and which port it is. */
export interface NetworkHolder {
  readonly network: () => NetworkRecord;
  readonly update: (network: NetworkRecord) => Promise<void>;
}

export class SandboxEgress {
  readonly #holder: NetworkHolder;
  readonly #journal: EgressJournal;
  #proxy: EgressProxy | undefined;
  #listener: GuestListener | undefined;

  constructor(directory: string, holder: NetworkHolder) {
    this.#holder = holder;
    this.#journal = new EgressJournal(directory);
  }

  /** Variables that make the guest's programs use the proxy; none when it is not open. */
  get env(): Readonly<Record<string, string>> {
    return this.#listener === undefined ? {} : proxyEnvironment(this.#listener.port);
  }

  /** Whether the guest is to have a way out. */
  get isWanted(): boolean {
    return egressPolicyOf(this.#holder.network()) !== undefined;
  }

  /**
   * Opens the proxy in the guest, where programs that run already look for it: at the port of the last time.
   *
   * @throws {HearthError} what `agent.listen` throws.
   */
  async attach(agent: AgentClient): Promise<void> {
    this.#listener?.close();
    this.#listener = undefined;
    this.apply();
    if (this.#proxy === undefined) return;
    const { proxyPort } = this.#holder.network();
    this.#listener = await this.#listen(agent, proxyPort ?? PREFERRED_PROXY_PORT);
    const { port } = this.#listener;
    if (port !== proxyPort) await this.#holder.update({ ...this.#holder.network(), proxyPort: port });
  }

  /** Lets the record's policy hold from now on; connections that it does not allow are cut. */
  apply(): void {
    const policy = egressPolicyOf(this.#holder.network());
    if (policy === undefined) {
      this.#closeProxy();
    } else if (this.#proxy === undefined) {
      this.#proxy = createEgressProxy({ policy, onDecision: (event) => this.#journal.record(event) });
    } else {
      this.#proxy.setPolicy(policy);
    }
  }

  /** Opens the way out when it was not wanted yet at the beginning of the conversation. */
  async reach(agent: AgentClient): Promise<void> {
    if (this.isWanted && this.#listener === undefined) await this.attach(agent);
  }

  /** Cuts every connection. Idempotent; `attach` opens it again. */
  close(): void {
    this.#closeProxy();
    this.#journal.close();
  }

  #closeProxy(): void {
    this.#listener?.close();
    this.#listener = undefined;
    this.#proxy?.close();
    this.#proxy = undefined;
  }

  async #listen(agent: AgentClient, port: number): Promise<GuestListener> {
    const hand = (stream: Parameters<EgressProxy['handle']>[0]): void => {
      if (this.#proxy === undefined) stream.destroy();
      else this.#proxy.handle(stream);
    };
    try {
      return await agent.listen({ port }, hand);
    } catch (error) {
      if (!HearthError.is(error) || error.code !== 'AGENT_REQUEST_FAILED') throw error;
      // Something else in the guest has that port.
      return await agent.listen({ port: 0 }, hand);
    }
  }
}
