/** What the terminal can show, and text that is safe to show on it. */

type Environment = Readonly<Record<string, string | undefined>>;

/** Whether a person looks at this stream: a terminal that is not dumb, and not a build server's log. */
export function isInteractive(stream: { isTTY?: boolean }, env: Environment): boolean {
  return stream.isTTY === true && env.TERM !== 'dumb' && (env.CI ?? '') === '';
}

export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
}

/** Colours for a stream, or none: https://no-color.org, `FORCE_COLOR`, dumb terminals and files. */
export function styleFor(stream: { isTTY?: boolean }, env: Environment): Style {
  const off = (env.NO_COLOR ?? '') !== '' || env.TERM === 'dumb';
  const on = !off && (stream.isTTY === true || (env.FORCE_COLOR ?? '0') !== '0');
  const paint = (open: number, close: number) => (text: string) =>
    on ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return {
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
  };
}

/**
 * Text from images, registries and guests made harmless: control characters (C0, DEL, C1) other than newline
 * and tab become `\xNN`, so that no escape sequence reaches the terminal.
 */
export function escapeControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

/** Rows under a header, columns as wide as their longest cell, two spaces apart, no trailing space. */
export function table(header: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
