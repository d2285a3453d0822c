/** Carries out the operations on workspaces. */
import type { Runtime } from '../sandboxes/index.js';
import type { HandlersOf } from './handlers.js';
import type { WORKSPACE_OPERATIONS } from './workspace-operations.js';

export function workspaceHandlers({ workspaces }: Runtime): HandlersOf<typeof WORKSPACE_OPERATIONS> {
  return {
    'workspace.diff': async ({ sandbox, ...wishes }, { signal }) => {
      const { patch, files, leftOutCount } = await workspaces.diff(sandbox, { ...wishes, signal });
      return { patch, files: [...files], leftOutCount };
    },
    'workspace.push': async ({ sandbox, ...spec }, { signal }) =>
      await workspaces.push(sandbox, spec, { signal }),
    'workspace.reset': async ({ sandbox }, { signal }) => ({
      workspace: await workspaces.reset(sandbox, { signal }),
    }),
    'patch.apply': async ({ sandbox, patch, check = false }, { signal }) => ({
      files: await workspaces.applyPatch(sandbox, patch, { check, signal }),
      applied: !check,
    }),
  };
}
