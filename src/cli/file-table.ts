/** Files of a guest as `ls -l` shows them. */
import { formatSize } from '../bytes/index.js';
import { escapeControls } from './terminal.js';

export interface ShownFile {
  readonly path: string;
  readonly kind: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtime: string;
  readonly target: string | null;
}

const KIND_LETTERS: Readonly<Record<string, string>> = {
  file: '-',
  directory: 'd',
  symlink: 'l',
  character: 'c',
  block: 'b',
  fifo: 'p',
  socket: 's',
};

/** One line a file; nothing for none. */
export function fileLines(files: readonly ShownFile[]): string {
  const rows = files.map((file) => [
    modeText(file.kind, file.mode),
    `${file.uid}:${file.gid}`,
    file.kind === 'file' ? formatSize(file.sizeBytes) : '-',
    file.mtime.slice(0, 16).replace('T', ' '),
    oneLine(file.path) + (file.target === null ? '' : ` -> ${oneLine(file.target)}`),
  ]);
  const widths = [0, 1, 2, 3].map((column) => Math.max(0, ...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) => `${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}\n`)
    .join('');
}

/** `-rwsr-xr-x` */
export function modeText(kind: string, mode: number): string {
  const bits = [...'rwxrwxrwx'].map((letter, at) => ((mode >> (8 - at)) & 1 ? letter : '-'));
  const special = (bit: number, at: number, letter: string): void => {
    if ((mode & bit) !== 0) bits[at] = bits[at] === 'x' ? letter : letter.toUpperCase();
  };
  special(0o4000, 2, 's');
  special(0o2000, 5, 's');
  special(0o1000, 8, 't');
  return (KIND_LETTERS[kind] ?? '?') + bits.join('');
}

/** A name may hold a newline; a line of ours does not. */
export function oneLine(name: string): string {
  return escapeControls(name).replaceAll('\n', '\\n').replaceAll('\t', '\\t');
}
