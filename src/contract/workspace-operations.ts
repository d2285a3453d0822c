/** The operations on workspaces; `workspace-handlers.ts` carries them out. */
import * as schemas from './workspace-schemas.js';

export const WORKSPACE_OPERATIONS = {
  'workspace.diff': {
    doc: 'What changed in the workspace since it was seeded, as a patch for git apply',
    input: schemas.diffInput,
    output: schemas.diffOutput,
    progress: true,
  },
  'workspace.push': {
    doc: 'Put files of the host into the workspace; what it is compared with stays',
    input: schemas.pushInput,
    output: schemas.pushOutput,
    progress: true,
  },
  'workspace.reset': {
    doc: 'Make the workspace what it was when it was seeded',
    input: schemas.resetInput,
    output: schemas.resetOutput,
    progress: true,
  },
  'patch.apply': {
    doc: 'Apply a unified patch to the workspace, all of it or nothing',
    input: schemas.patchInput,
    output: schemas.patchOutput,
    progress: true,
  },
} as const;
