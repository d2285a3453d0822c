/** The operations on snapshots: sandboxes that go back, and their copies. */
import { oneSandbox } from './schemas.js';
import * as schemas from './snapshot-schemas.js';

export const SNAPSHOT_OPERATIONS = {
  'sandbox.reset': {
    doc: 'Give a sandbox back its first disk; it runs again when it ran',
    input: schemas.startInput,
    output: oneSandbox,
    progress: true,
  },
} as const;
