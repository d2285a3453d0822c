/**
 * What a sandbox has connected to, or was refused: one JSON line an event, in two files of bounded size in the
 * sandbox's directory. Written before the connection goes on, so that even a killed process leaves no gap.
 */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { EgressEvent } from '../../network/index.js';
import { readRotated } from '../rotated-file.js';

/** `omittedBefore`: how many events a flood left out right before this one. */
export type JournalEvent = EgressEvent & { readonly omittedBefore?: number };

export interface EgressPiece {
  /** Oldest first. */
  readonly events: readonly JournalEvent[];
  /** Where the next piece begins; opaque. */
  readonly cursor: string;
}

const FILE = 'egress.jsonl';
/** Of one file; with the one before it there are at most twice as many. */
const MAX_FILE_BYTES = 2 * 1024 * 1024;
/** Refused and failed requests cost a guest nothing; more than these a second are only counted. */
const EVENTS_PER_SECOND = 50;
const BURST_EVENTS = 500;

export class EgressJournal {
  readonly #directory: string;
  readonly #now: () => number;
  #file: { readonly descriptor: number; sizeBytes: number } | undefined;
  #credit = BURST_EVENTS;
  #creditAt: number;
  #omitted = 0;

  constructor(directory: string, now: () => number = () => performance.now()) {
    this.#directory = directory;
    this.#now = now;
    this.#creditAt = now();
  }

  /** @throws When it cannot be written: the connection must not go on then. */
  record(event: EgressEvent): void {
    if (!this.#hasRoomFor(event)) {
      this.#omitted += 1;
      return;
    }
    const entry: JournalEvent = this.#omitted === 0 ? event : { ...event, omittedBefore: this.#omitted };
    const line = Buffer.from(`${JSON.stringify(entry)}\n`);
    if (this.#file !== undefined && this.#file.sizeBytes + line.byteLength > MAX_FILE_BYTES) this.#rotate();
    this.#file ??= this.#open();
    writeSync(this.#file.descriptor, line);
    this.#file.sizeBytes += line.byteLength;
    this.#omitted = 0;
  }

  /** The next event opens it again. */
  close(): void {
    if (this.#file !== undefined) closeSync(this.#file.descriptor);
    this.#file = undefined;
  }

  #open(): { readonly descriptor: number; sizeBytes: number } {
    const descriptor = openSync(join(this.#directory, FILE), 'a', 0o600);
    return { descriptor, sizeBytes: fstatSync(descriptor).size };
  }

  #rotate(): void {
    this.close();
    const path = join(this.#directory, FILE);
    renameSync(path, `${path}.1`);
  }

  /** What was let through is never left out. */
  #hasRoomFor({ decision }: EgressEvent): boolean {
    const now = this.#now();
    const earned = ((now - this.#creditAt) / 1000) * EVENTS_PER_SECOND;
    this.#credit = Math.min(BURST_EVENTS, this.#credit + earned);
    this.#creditAt = now;
    if (decision === 'allowed') return true;
    if (this.#credit < 1) return false;
    this.#credit -= 1;
    return true;
  }
}

/** The end of the journal, or what came after `cursor`. @param maxBytes Of the lines; older ones are left out. */
export async function readEgressJournal(
  directory: string,
  options: { readonly maxBytes: number; readonly cursor?: string | undefined },
): Promise<EgressPiece> {
  const { bytes, cursor } = await readRotated(directory, FILE, options);
  const events = bytes.toString('utf8').split('\n').flatMap(eventOf);
  return { events, cursor };
}

/** A first line that was cut, or a last one that a crash of the host cut, is no event. */
function eventOf(line: string): JournalEvent[] {
  try {
    const event: unknown = JSON.parse(line);
    return typeof event === 'object' && event !== null && 'decision' in event ? [event as JournalEvent] : [];
  } catch {
    return [];
  }
}
