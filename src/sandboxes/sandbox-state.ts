/** The states of a sandbox. */

/**
 * created: has a disk, never ran · starting, stopping: on the way · running · paused: its processors stand
 * still · stopped: its disk is kept · failed: its VM ended unasked, or never came up; its disk is kept.
 */
export const SANDBOX_STATES = [
  'created',
  'starting',
  'running',
  'paused',
  'stopping',
  'stopped',
  'failed',
] as const;
export type SandboxState = (typeof SANDBOX_STATES)[number];
