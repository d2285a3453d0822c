/** The operations that run a command to its end and answer with its output. */
import { operation } from './operation.js';
import * as schemas from './run-schemas.js';

export const RUN_OPERATIONS = {
  'exec.run': operation({
    doc: 'Run a command in a sandbox to its end; the answer has its exit code and output',
    input: schemas.execRunInput,
    output: schemas.execRunOutput,
    streams: true,
  }),
  'sandbox.run': operation({
    doc: 'Run a command in a fresh VM that is gone afterwards',
    input: schemas.sandboxRunInput,
    output: schemas.sandboxRunOutput,
    progress: true,
    streams: true,
  }),
} as const;
