/** The operations on what sandboxes may reach; `network-handlers.ts` carries them out. */
import * as schemas from './network-schemas.js';

export const NETWORK_OPERATIONS = {
  'sandbox.egress': {
    doc: 'What a sandbox has connected to or was refused, or what came after a cursor',
    input: schemas.egressInput,
    output: schemas.egressOutput,
  },
} as const;
