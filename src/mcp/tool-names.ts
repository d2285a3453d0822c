/** The tools there are, and which of them each profile and mode shows, in the order in which they are listed. */
import type { Mode, Profile, View } from './view.js';

export const TOOL_NAMES = [
  'run',
  'sandbox_create',
  'sandbox_list',
  'sandbox_exec',
  'sandbox_stop',
  'sandbox_remove',
  'environment_list',
  'environment_pull',
] as const;
export type ToolName = (typeof TOOL_NAMES)[number];

const PROFILE_TOOLS: Readonly<Record<Profile, readonly ToolName[]>> = {
  run: ['run'],
  core: ['run', 'sandbox_create', 'sandbox_list', 'sandbox_exec', 'sandbox_remove', 'environment_list'],
  full: TOOL_NAMES,
};

/** What one kind of work needs, and nothing that leads away from it. */
const MODE_TOOLS: Readonly<Record<Mode, readonly ToolName[]>> = {
  'repro-fix': ['sandbox_create', 'sandbox_list', 'sandbox_exec', 'sandbox_remove'],
  inspect: ['sandbox_create', 'sandbox_exec', 'sandbox_remove'],
  'cold-start': ['sandbox_create', 'sandbox_exec', 'sandbox_stop', 'sandbox_remove', 'environment_list'],
  'review-eval': ['sandbox_create', 'sandbox_list', 'sandbox_exec', 'sandbox_remove'],
};

/** The tools of both the profile and the mode. */
export function toolNamesOf({ profile, mode }: Pick<View, 'profile' | 'mode'>): readonly ToolName[] {
  const ofMode = mode === undefined ? TOOL_NAMES : MODE_TOOLS[mode];
  return PROFILE_TOOLS[profile].filter((name) => ofMode.includes(name));
}
