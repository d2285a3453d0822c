/** The connections of one proxy that have reached their hosts, so that a change of policy can end them. */
import type { Host } from './host.js';

export interface OpenRoute {
  readonly host: Host;
  readonly port: number;
  /** What it is connected to. */
  readonly address: string;
}

export class OpenRoutes {
  readonly #routes = new Map<OpenRoute, () => void>();

  /** Holds the route while `body` runs; `cut` ends it. */
  async during<T>(route: OpenRoute, cut: () => void, body: () => Promise<T>): Promise<T> {
    this.#routes.set(route, cut);
    try {
      return await body();
    } finally {
      this.#routes.delete(route);
    }
  }

  cut(isDoomed: (route: OpenRoute) => boolean): void {
    for (const [route, cut] of [...this.#routes]) if (isDoomed(route)) cut();
  }
}
