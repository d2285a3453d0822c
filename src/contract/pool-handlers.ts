import type { VmPool } from '../sandboxes/index.js';
import type { HandlersOf } from './handlers.js';
import type { POOL_OPERATIONS } from './pool-operations.js';

export function poolHandlers(pool: VmPool): HandlersOf<typeof POOL_OPERATIONS> {
  return { 'pool.list': async () => ({ pools: pool.list().map((one) => ({ ...one })) }) };
}
