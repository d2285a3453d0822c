/** The operations on what sandboxes may reach, carried out here. */
import type { z } from 'zod';
import type { Runtime } from '../sandboxes/index.js';
import type { NETWORK_OPERATIONS } from './network-operations.js';

type Egress = (typeof NETWORK_OPERATIONS)['sandbox.egress'];

const DEFAULT_JOURNAL_BYTES = 256 * 1024;

export function networkHandlers(runtime: Pick<Runtime, 'egressEvents'>) {
  return {
    'sandbox.egress': async ({
      sandbox,
      maxBytes = DEFAULT_JOURNAL_BYTES,
      cursor,
    }: z.output<Egress['input']>): Promise<z.output<Egress['output']>> => {
      const piece = await runtime.egressEvents(sandbox, { maxBytes, cursor });
      return { events: [...piece.events], cursor: piece.cursor };
    },
  };
}
