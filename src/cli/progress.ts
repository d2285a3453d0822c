/**
 * Phases of long work on stderr: `[pull] phase=download environment=debian:12`.
 *
 * On a terminal the present phase is one live line with an amount and a rate; elsewhere, where asked for, each
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
  let last = '';
  return {
    update(task, environment, { phase, note }) {
      const line = `[${task}] phase=${phase} environment=${escapeControls(environment)}${note === undefined ? '' : ` (${escapeControls(note)})`}`;
      if (line !== last) stderr.write(`${line}\n`);
      last = line;
    },
    note: (text) => void stderr.write(`${escapeControls(text)}\n`),
    finish: () => {},
  };
}

function liveProgress(stderr: NodeJS.WriteStream, style: Style): Progress {
  let key = '';
  let line = '';
  let startedAt = 0;
  let drawnAt = 0;

  const clear = (): void => void stderr.write('\r\u001b[K');
  const end = (): void => {
    if (key === '') return;
    clear();
    const seconds = formatDuration(performance.now() - startedAt);
    stderr.write(`${line} ${style.dim(seconds)}\n`);
    key = '';
  };
  return {
    update(task, environment, update) {
      const now = performance.now();
      const next = `${task} ${update.phase}`;
      if (next !== key) {
        end();
        key = next;
        startedAt = now;
        drawnAt = 0;
      }
      const head = `${style.dim(`[${task}]`)} phase=${style.bold(update.phase)} environment=${escapeControls(environment)}`;
      const note = update.note === undefined ? '' : ` (${escapeControls(update.note)})`;
      line = `${head}${note}${amount(update, now - startedAt)}`;
      if (now - drawnAt < REDRAW_MS) return;
      drawnAt = now;
      clear();
      stderr.write(cutToColumns(line, stderr.columns ?? 80));
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

/** Cuts a line to the columns of the terminal, colour sequences not counted. */
function cutToColumns(line: string, columns: number): string {
  let shown = 0;
  let result = '';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character starts a colour sequence
  for (const part of line.split(/(\u001b\[\d+m)/)) {
    if (part.startsWith('\u001b')) result += part;
    else {
      const room = Math.max(0, columns - 1 - shown);
      result += part.slice(0, room);
      shown += Math.min(part.length, room);
    }
  }
  return result;
}
