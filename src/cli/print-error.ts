/** The one place that prints an error and chooses an exit code for it. */
import { ERROR_KINDS, HearthError } from '../errors/index.js';
import { escapeControls, type Style } from './terminal.js';

export const EXIT_INTERRUPTED = 130;
const EXIT_UNCLASSIFIED = 70;

/** Anything thrown, as a `HearthError`: what is not one is a bug of ours. */
export function asHearthError(error: unknown): HearthError {
  if (HearthError.is(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new HearthError('INTERNAL', `unexpected error: ${message}`, {
    hint: 'Run the command again with --verbose and report what it prints.',
    cause: error,
  });
}

/** The exit code of an error outside `run` and `exec`. */
export function exitCodeOf(error: HearthError): number {
  return ERROR_KINDS[error.kind]?.exitCode ?? EXIT_UNCLASSIFIED;
}

/** `error[CODE]: what failed`, then the hint; with `verbose` the details and the causes. */
export function formatError(error: HearthError, style: Style, verbose: boolean): string {
  const lines = [`${style.red(`error[${error.code}]`)}: ${escapeControls(error.message)}`];
  if (error.hint !== undefined) lines.push(`${style.bold('hint')}: ${escapeControls(error.hint)}`);
  if (verbose) {
    if (Object.keys(error.details).length > 0)
      lines.push(`details: ${JSON.stringify(error.details, null, 2)}`);
    for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
      lines.push(`cause: ${escapeControls(cause.stack ?? cause.message)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}
