/** The services and shells of every sandbox. */
import type { Sandbox } from '../sandbox.js';
import { hasVm } from '../sandbox-record.js';
import { SandboxBackground } from './sandbox-background.js';
import { Services } from './services.js';
import { Shells } from './shells.js';

export class Background {
  readonly services: Services;
  readonly shells: Shells;
  readonly #find: (reference: string) => Sandbox;
  readonly #loaded = new Map<Sandbox, Promise<SandboxBackground>>();

  constructor(find: (reference: string) => Sandbox) {
    this.#find = find;
    const of = (reference: string): Promise<SandboxBackground> => this.of(reference);
    this.services = new Services(of);
    this.shells = new Shells(of);
  }

  /** Takes up what runs on in the sandboxes that another process has owned, as far as it can without their guests. */
  async adopt(sandboxes: Iterable<Sandbox>): Promise<void> {
    const running = [...sandboxes].filter(({ record }) => hasVm(record.state));
    await Promise.all(running.map((sandbox) => this.#load(sandbox)));
  }

  async of(reference: string): Promise<SandboxBackground> {
    const sandbox = this.#find(reference);
    return await this.#load(sandbox);
  }

  async #load(sandbox: Sandbox): Promise<SandboxBackground> {
    const loaded = this.#loaded.get(sandbox) ?? SandboxBackground.load(sandbox);
    this.#loaded.set(sandbox, loaded);
    return await loaded;
  }

  /** Stops listening; everything runs on. */
  async close(): Promise<void> {
    await Promise.all([...this.#loaded.values()].map(async (loaded) => await (await loaded).release()));
  }
}
