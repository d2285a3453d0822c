/** The published ports of a running sandbox: listeners of this host whose connections go into its guest. */
import type { Duplex } from 'node:stream';
import { type PublishedPort, parsePortSpec, publishPort } from '../network/index.js';
import type { SandboxRecord } from './sandbox-record.js';

type PortRecord = SandboxRecord['ports'][number];
type Dial = (guestPort: number, signal: AbortSignal) => Promise<Duplex>;

/** The ports that words like `8080:80` ask for. @throws {HearthError} `PORT_SPEC_INVALID`. */
export function portRecords(words: readonly string[]): PortRecord[] {
  return words.map((word) => ({ ...parsePortSpec(word), published: null }));
}

export class SandboxPorts {
  readonly #dial: Dial;
  #open: PublishedPort[] = [];

  constructor(dial: Dial) {
    this.#dial = dial;
  }

  /**
   * Listens on all of them, or on none.
   *
   * @param again Also where any free port was asked for, the one that was found the last time.
   * @returns The records with the ports that listen.
   * @throws {HearthError} `PORT_IN_USE`, `PORT_DENIED`, `PORT_ADDRESS_UNAVAILABLE`.
   */
  async open(ports: readonly PortRecord[], again = false): Promise<PortRecord[]> {
    await this.close();
    try {
      const records: PortRecord[] = [];
      for (const port of ports) {
        const { address, guestPort } = port;
        const hostPort = again ? (port.published ?? port.hostPort) : port.hostPort;
        const published = await publishPort({ address, hostPort, guestPort }, ({ signal }) =>
          this.#dial(guestPort, signal),
        );
        this.#open.push(published);
        records.push({ ...port, published: published.port });
      }
      return records;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** As `open`, again. A port that another program has taken meanwhile must not keep the VM from its owner. */
  async reopen(ports: readonly PortRecord[]): Promise<PortRecord[]> {
    const open = await this.open(ports, true).catch(() => undefined);
    return open ?? ports.map((port) => ({ ...port, published: null }));
  }

  /** Idempotent. */
  async close(): Promise<void> {
    const open = this.#open;
    this.#open = [];
    await Promise.all(open.map((port) => port.close()));
  }
}
