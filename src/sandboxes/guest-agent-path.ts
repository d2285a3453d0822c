import { fileURLToPath } from 'node:url';

/** The guest agent that this copy of hearth was built with; the same two folders up from `src/` and from `dist/`. */
export function guestAgentPath(): string {
  return fileURLToPath(new URL('../../build/agent/hearth-agent', import.meta.url));
}
