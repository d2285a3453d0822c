/** What every request through one proxy shares. */
import type { BeginExchange } from './egress-exchange.js';
import type { RouteContext } from './egress-route.js';
import type { OpenRoutes } from './open-routes.js';

export interface ProxyContext extends RouteContext {
  readonly open: OpenRoutes;
  readonly begin: BeginExchange;
}
