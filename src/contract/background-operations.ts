/** The operations on services and shells; `background-handlers.ts` carries them out. */
import * as schemas from './background-schemas.js';
import { nothing } from './schemas.js';

export const BACKGROUND_OPERATIONS = {
  'service.start': {
    doc: 'Start a service in a sandbox and wait until it is ready',
    input: schemas.serviceStartInput,
    output: schemas.oneService,
    progress: true,
  },
  'service.list': {
    doc: 'The services of a sandbox, by name',
    input: schemas.shellListInput,
    output: schemas.serviceListOutput,
  },
  'service.status': {
    doc: 'How a service is',
    input: schemas.serviceInput,
    output: schemas.oneService,
  },
  'service.logs': {
    doc: 'The end of what a service wrote, or what came after the cursors',
    input: schemas.serviceLogsInput,
    output: schemas.serviceLogsOutput,
  },
  'service.stop': {
    doc: 'Ask a service to end, and kill it after a grace; what it wrote stays',
    input: schemas.serviceStopInput,
    output: schemas.oneService,
  },
  'shell.open': {
    doc: 'Open a shell on a terminal of its own, which stays open between calls',
    input: schemas.shellOpenInput,
    output: schemas.oneShell,
    progress: true,
  },
  'shell.list': {
    doc: 'The open shells of a sandbox, oldest first',
    input: schemas.shellListInput,
    output: schemas.shellListOutput,
  },
  'shell.read': {
    doc: 'What a shell wrote from a cursor on, once it is idle when asked for',
    input: schemas.shellReadInput,
    output: schemas.shellReadOutput,
    progress: true,
  },
  'shell.write': {
    doc: 'Type into a shell',
    input: schemas.shellWriteInput,
    output: nothing,
  },
  'shell.signal': {
    doc: 'Interrupt what runs in a shell, or send it another signal',
    input: schemas.shellSignalInput,
    output: nothing,
  },
  'shell.close': {
    doc: 'Close a shell and end all that runs in it',
    input: schemas.shellInput,
    output: schemas.oneShell,
  },
} as const;
