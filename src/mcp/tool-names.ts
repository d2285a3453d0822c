/** The tools there are, and which of them each profile and mode shows, in the order in which they are listed. */
import type { Mode, Pins, Profile, View } from './view.js';

export const TOOL_NAMES = [
  'run',
  'sandbox_create',
  'sandbox_list',
  'sandbox_summary',
  'sandbox_exec',
  'sandbox_stop',
  'sandbox_remove',
  'sandbox_reset',
  'sandbox_fork',
  'file_read',
  'file_write',
  'file_list',
  'patch_apply',
  'workspace_diff',
  'workspace_reset',
  'workspace_push',
  'snapshot_create',
  'snapshot_list',
  'snapshot_restore',
  'snapshot_remove',
  'service_start',
  'service_list',
  'service_logs',
  'service_stop',
  'shell_open',
  'shell_write',
  'shell_read',
  'shell_signal',
  'shell_close',
  'environment_list',
  'environment_pull',
] as const;
export type ToolName = (typeof TOOL_NAMES)[number];

const PROFILE_TOOLS: Readonly<Record<Profile, readonly ToolName[]>> = {
  run: ['run'],
  core: [
    'run',
    'sandbox_create',
    'sandbox_list',
    'sandbox_exec',
    'sandbox_remove',
    'file_read',
    'file_write',
    'patch_apply',
    'workspace_diff',
    'environment_list',
  ],
  full: TOOL_NAMES,
};

const EDIT: readonly ToolName[] = ['file_read', 'file_write', 'patch_apply', 'workspace_diff'];

/** What one kind of work needs, and nothing that leads away from it. */
const MODE_TOOLS: Readonly<Record<Mode, readonly ToolName[]>> = {
  'repro-fix': [
    'sandbox_create',
    'sandbox_list',
    'sandbox_exec',
    'sandbox_remove',
    ...EDIT,
    'workspace_reset',
  ],
  inspect: ['sandbox_create', 'sandbox_exec', 'sandbox_remove', 'file_read', 'file_list'],
  'cold-start': [
    'sandbox_create',
    'sandbox_exec',
    'sandbox_stop',
    'sandbox_remove',
    'sandbox_reset',
    'file_read',
    'file_write',
    'service_start',
    'service_logs',
    'service_stop',
    'environment_list',
  ],
  'review-eval': [
    'sandbox_create',
    'sandbox_list',
    'sandbox_summary',
    'sandbox_exec',
    'sandbox_remove',
    'sandbox_fork',
    'snapshot_create',
    'snapshot_restore',
    'file_read',
    'patch_apply',
    'workspace_diff',
  ],
};

/** Tools that need what the operator may not have given. */
const NEEDS: Partial<Record<ToolName, (pins: Pins) => boolean>> = {
  workspace_push: ({ project }) => project !== undefined,
};

/** The tools of both the profile and the mode that the operator leaves room for. */
export function toolNamesOf({ profile, mode, pins }: View): readonly ToolName[] {
  const ofMode = mode === undefined ? TOOL_NAMES : MODE_TOOLS[mode];
  return PROFILE_TOOLS[profile].filter((name) => ofMode.includes(name) && (NEEDS[name]?.(pins) ?? true));
}
