/** What every request through one proxy shares. */
import type { BeginExchange } from './egress-exchange.js';
import type { RouteContext } from './egress-route.js';

export interface ProxyContext extends RouteContext {
  readonly begin: BeginExchange;
  readonly isClosed: () => boolean;
}
