/**
 * Phases of long work on stderr: `[pull] phase=download environment=debian:12`.
 *
 * On a terminal each phase is one live line with an amount, a rate and at last its time; elsewhere, where asked for, each
 * phase is one line. Nothing of it ever reaches stdout.
 */
import { formatDuration, formatSize } from '../bytes/index.js';
import { HearthError } from '../errors/index.js';
import { escapeControls, isInteractive, type Style, styleFor } from './terminal.js';

export type ProgressMode = 'live' | 'plain' | 'none';

export interface PhaseUpdate {
  /** The phase's word: `resolve`, `download`, `convert`, `install`, `ready`, `boot`. */
  readonly phase: string;
  /** Bytes done so far and, when known, in all. */
  readonly doneBytes?: number;
  readonly totalBytes?: number;
  /** A fact worth a word: which source, why a fallback. */
  readonly note?: string;
}

export interface Progress {
  /** Reports where the work `task` (`pull`, `run`) is. Calls with the same phase update its line. */
  update(task: string, environment: string, update: PhaseUpdate): void;
  /** One line that is not a phase. */
  note(text: string): void;
  /** Ends the live line; what is printed next starts on a line of its own. */
  finish(): void;
}

const REDRAW_MS = 80;
const BAR_CHARS = 20;
const MAX_LIVE_ROWS = 10;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character starts a colour sequence
const COLOUR = /(\u001b\[\d+m)/;

/** The mode for `--progress auto|live|plain|none`; `fallback` is what `auto` means where no person looks. */
export function progressMode(
  requested: string | undefined,
  stderr: { isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
  fallback: ProgressMode,
): ProgressMode {
  if (requested === 'live' || requested === 'plain' || requested === 'none') return requested;
  if (requested !== undefined && requested !== 'auto') {
    throw new HearthError('USAGE_INVALID', `unknown progress mode ${JSON.stringify(requested)}`, {
      hint: 'Use --progress auto, live, plain or none.',
      details: { requested },
    });
  }
  return isInteractive(stderr, env) ? 'live' : fallback;
}

/** A progress printer for one command. */
export function createProgress(
  mode: ProgressMode,
  stderr: NodeJS.WriteStream,
  env: Readonly<Record<string, string | undefined>>,
): Progress {
  if (mode === 'none') return { update: () => {}, note: () => {}, finish: () => {} };
  const style = styleFor(stderr, env);
  return mode === 'plain' ? plainProgress(stderr) : liveProgress(stderr, style);
}

function plainProgress(stderr: NodeJS.WriteStream): Progress {
  const printed = new Set<string>();
  return {
    update(task, environment, { phase, note }) {
      const line = `[${task}] phase=${phase} environment=${escapeControls(environment)}${note === undefined ? '' : ` (${escapeControls(note)})`}`;
      // Phases that go on side by side take turns in reporting; each says its line once.
      if (!printed.has(line)) stderr.write(`${line}\n`);
      printed.add(line);
    },
    note: (text) => void stderr.write(`${escapeControls(text)}\n`),
    finish: () => printed.clear(),
  };
}

interface Row {
  readonly key: string;
  text: string;
  readonly startedAt: number;
  updatedAt: number;
}

/** One line a phase, redrawn in place: phases that go on side by side keep their lines. */
function liveProgress(stderr: NodeJS.WriteStream, style: Style): Progress {
  let rows: Row[] = [];
  let drawnRows = 0;
  let drawnAt = 0;

  const draw = (active: Row | undefined): void => {
    const lines = rows.map((row) => {
      const time = row === active ? '' : ` ${style.dim(formatDuration(row.updatedAt - row.startedAt))}`;
      return `\r\u001b[K${cutToColumns(row.text, stderr.columns ?? 80, time)}\n`;
    });
    stderr.write(`${drawnRows > 0 ? `\u001b[${drawnRows}A` : ''}${lines.join('')}`);
    drawnRows = rows.length;
  };
  const end = (): void => {
    const now = performance.now();
    for (const row of rows.slice(-1)) row.updatedAt = now;
    if (rows.length > 0) draw(undefined);
    rows = [];
    drawnRows = 0;
  };
  return {
    update(task, environment, update) {
      const now = performance.now();
      const key = `${task} ${update.phase}`;
      let row = rows.find((candidate) => candidate.key === key);
      const isNew = row === undefined;
      if (row === undefined) {
        if (rows.length === MAX_LIVE_ROWS) end();
        row = { key, text: '', startedAt: now, updatedAt: now };
        rows.push(row);
      }
      const head = `${style.dim(`[${task}]`)} phase=${style.bold(update.phase)} environment=${escapeControls(environment)}`;
      const note = update.note === undefined ? '' : ` (${escapeControls(update.note)})`;
      row.text = `${head}${amount(update, now - row.startedAt)}${note}`;
      row.updatedAt = now;
      if (!isNew && now - drawnAt < REDRAW_MS) return;
      drawnAt = now;
      draw(row);
    },
    note(text) {
      end();
      stderr.write(`${escapeControls(text)}\n`);
    },
    finish: end,
  };
}

function amount({ doneBytes, totalBytes }: PhaseUpdate, elapsedMs: number): string {
  if (doneBytes === undefined || doneBytes === 0) return '';
  const rate = elapsedMs < 200 ? '' : `  ${formatSize((doneBytes * 1000) / elapsedMs)}/s`;
  if (totalBytes === undefined || totalBytes <= 0) return `  ${formatSize(doneBytes)}${rate}`;
  const share = Math.min(1, doneBytes / totalBytes);
  const filled = Math.round(share * BAR_CHARS);
  const bar = `${'█'.repeat(filled)}${'░'.repeat(BAR_CHARS - filled)}`;
  return `  ${bar} ${formatSize(doneBytes)} / ${formatSize(totalBytes)}${rate}`;
}

/** Cuts a line to the columns of the terminal, its end kept; colour sequences are not counted. */
function cutToColumns(line: string, columns: number, end: string): string {
  let room = Math.max(0, columns - 1 - visibleLength(end));
  let result = '';
  for (const part of line.split(COLOUR)) {
    if (part.startsWith('\u001b')) result += part;
    else {
      result += part.slice(0, room);
      room = Math.max(0, room - part.length);
    }
  }
  return `${result}${end}`;
}

function visibleLength(text: string): number {
  return text.split(COLOUR).reduce((sum, part) => sum + (part.startsWith('\u001b') ? 0 : part.length), 0);
}
