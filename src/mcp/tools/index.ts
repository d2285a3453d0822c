/** Every tool by its name. */
import type { Tool } from '../tool.js';
import { type ToolName, toolNamesOf } from '../tool-names.js';
import type { View } from '../view.js';
import { environmentList, environmentPull } from './environments.js';
import { sandboxExec } from './exec.js';
import { fileList, fileRead, fileWrite } from './files.js';
import { run } from './run.js';
import { sandboxCreate, sandboxList, sandboxRemove, sandboxStop } from './sandboxes.js';
import { serviceList, serviceLogs, serviceStart, serviceStop } from './services.js';
import { shellClose, shellOpen, shellRead, shellSignal, shellWrite } from './shells.js';
import {
  sandboxFork,
  sandboxReset,
  snapshotCreate,
  snapshotList,
  snapshotRemove,
  snapshotRestore,
} from './snapshots.js';
import { sandboxSummary } from './summary.js';
import { patchApply, workspaceDiff, workspacePush, workspaceReset } from './workspace.js';

const TOOLS: Readonly<Record<ToolName, Tool>> = {
  run,
  sandbox_create: sandboxCreate,
  sandbox_list: sandboxList,
  sandbox_summary: sandboxSummary,
  sandbox_exec: sandboxExec,
  sandbox_stop: sandboxStop,
  sandbox_remove: sandboxRemove,
  sandbox_reset: sandboxReset,
  sandbox_fork: sandboxFork,
  file_read: fileRead,
  file_write: fileWrite,
  file_list: fileList,
  patch_apply: patchApply,
  workspace_diff: workspaceDiff,
  workspace_reset: workspaceReset,
  workspace_push: workspacePush,
  snapshot_create: snapshotCreate,
  snapshot_list: snapshotList,
  snapshot_restore: snapshotRestore,
  snapshot_remove: snapshotRemove,
  service_start: serviceStart,
  service_list: serviceList,
  service_logs: serviceLogs,
  service_stop: serviceStop,
  shell_open: shellOpen,
  shell_write: shellWrite,
  shell_read: shellRead,
  shell_signal: shellSignal,
  shell_close: shellClose,
  environment_list: environmentList,
  environment_pull: environmentPull,
};

/** The tools of a view, in the order in which they are listed. */
export const toolsOf = (view: View): readonly Tool[] => toolNamesOf(view).map((name) => TOOLS[name]);
