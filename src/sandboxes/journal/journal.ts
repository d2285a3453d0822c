/**
 * What was done in sandboxes, one JSON line an event, in two files of bounded size in each sandbox's directory. It is
 * for people who look back, not a proof: what cannot be written does not keep anybody from working. Secrets stand in it as
 * `[REDACTED]`.
 */
import { appendFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readRotated } from '../rotated-file.js';
import type { Sandbox } from '../sandbox.js';

export interface SandboxEvent {
  /** When it was over. */
  readonly at: string;
  /** Name of the operation. */
  readonly operation: string;
  /** What it was done with: a command line, paths, a name. */
  readonly text: string;
  /** Of a command that ran to its end here. */
  readonly exitCode?: number;
  readonly durationMs?: number;
}

export interface SandboxHistory {
  /** Oldest first; those after the last reset. */
  readonly events: readonly SandboxEvent[];
  /** Of the last reset, or the creation. */
  readonly since: string;
  /** Older events than these were dropped. */
  readonly truncated: boolean;
}

const FILE = 'journal.jsonl';
/** Of one file; with the one before it there are at most twice as many. */
const MAX_FILE_BYTES = 512 * 1024;
const MAX_TEXT_CHARS = 500;
const RESETS = new Set(['sandbox.reset', 'workspace.reset']);

/** All find nothing where there is no such sandbox. */
export class Journal {
  readonly #find: (reference: string) => Sandbox;
  #writing: Promise<void> = Promise.resolve();

  constructor(find: (reference: string) => Sandbox) {
    this.#find = find;
  }

  /** Never rejects. */
  async record(reference: string, event: Omit<SandboxEvent, 'at'>): Promise<void> {
    const write = async (): Promise<void> => {
      try {
        const { directory, secrets } = this.#find(reference);
        const path = join(directory, FILE);
        const clean = (await secrets.redactor()).text(event.text);
        const text = clean.length > MAX_TEXT_CHARS ? `${clean.slice(0, MAX_TEXT_CHARS)}…` : clean;
        const line = `${JSON.stringify({ at: new Date().toISOString(), ...event, text })}\n`;
        const sizeBytes = await stat(path).then(
          ({ size }) => size,
          () => 0,
        );
        if (sizeBytes + Buffer.byteLength(line) > MAX_FILE_BYTES) await rename(path, `${path}.1`);
        await appendFile(path, line, { mode: 0o600 });
      } catch {
        // Removed meanwhile, or a full disk: the work itself is what counts.
      }
    };
    this.#writing = this.#writing.then(write);
    await this.#writing;
  }

  /** What happened since the last reset. @throws {HearthError} `SANDBOX_NOT_FOUND`, `SANDBOX_AMBIGUOUS`. */
  async history(reference: string): Promise<SandboxHistory> {
    const { directory, record } = this.#find(reference);
    await this.#writing;
    const { bytes } = await readRotated(directory, FILE, { maxBytes: 2 * MAX_FILE_BYTES });
    const all = bytes.toString('utf8').split('\n').flatMap(eventOf);
    const reset = all.findLastIndex(({ operation }) => RESETS.has(operation));
    const hasOlder = await stat(join(directory, `${FILE}.1`)).then(
      () => true,
      () => false,
    );
    return {
      events: all.slice(reset + 1),
      since: all[reset]?.at ?? record.createdAt,
      truncated: reset === -1 && hasOlder,
    };
  }

  /** When something was last done in it: the last event, start or end. */
  async lastActiveAt(reference: string): Promise<string> {
    const { directory, record } = this.#find(reference);
    const { createdAt, startedAt, stoppedAt } = record;
    const written = await stat(join(directory, FILE)).then(
      ({ mtime }) => mtime.toISOString(),
      () => '',
    );
    const times = [createdAt, startedAt, stoppedAt, written].filter((time) => time !== null && time !== '');
    return times.sort().at(-1) ?? createdAt;
  }
}

/** A line that a crash of the host cut is no event. */
function eventOf(line: string): SandboxEvent[] {
  try {
    const event: unknown = JSON.parse(line);
    const isEvent =
      typeof event === 'object' &&
      event !== null &&
      ['at', 'operation', 'text'].every((field) => typeof Reflect.get(event, field) === 'string');
    return isEvent ? [event as SandboxEvent] : [];
  } catch {
    return [];
  }
}
