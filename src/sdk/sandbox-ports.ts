/** Ports of the guest that are published on this host. */
import { HearthError } from '../errors/index.js';

export interface PublishedPort {
  readonly guestPort: number;
  /** Of this host. */
  readonly address: string;
  readonly hostPort: number;
}

interface PortState {
  readonly address: string;
  readonly guestPort: number;
  readonly published: number | null;
}

export class SandboxPorts {
  readonly #states: () => Promise<readonly PortState[]>;

  /** @internal */
  constructor(states: () => Promise<readonly PortState[]>) {
    this.#states = states;
  }

  /** Those that listen now; a sandbox that does not run has none. */
  async list(): Promise<PublishedPort[]> {
    return (await this.#states()).flatMap(({ address, guestPort, published }) =>
      published === null ? [] : [{ address, guestPort, hostPort: published }],
    );
  }

  /** @throws {HearthError} `PORT_NOT_PUBLISHED`. */
  async get(guestPort: number): Promise<PublishedPort> {
    const ports = await this.list();
    const found = ports.find((port) => port.guestPort === guestPort);
    if (found !== undefined) return found;
    throw new HearthError('PORT_NOT_PUBLISHED', `the guest's port ${guestPort} is not published`, {
      hint: `Create the sandbox with ports: ['${guestPort}'], and start it.`,
      details: { guestPort, published: ports.map((port) => port.guestPort) },
    });
  }

  /** Where a server on that port of the guest is reached: `http://127.0.0.1:40123`. */
  async url(guestPort: number, scheme = 'http'): Promise<string> {
    const { address, hostPort } = await this.get(guestPort);
    return `${scheme}://${address.includes(':') ? `[${address}]` : address}:${hostPort}`;
  }
}
