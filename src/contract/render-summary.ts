/** A summary as Markdown, fit to be pasted into a review. Names and paths are a guest's and may be anything. */
import type { Summary } from './summary-operations.js';

const COMMANDS = new Set(['exec.start', 'exec.run']);
const MAX_SHOWN = 50;

export function renderSummary(summary: Omit<Summary, 'text'>): string {
  const { name, environment, state, since, events, changes, services, snapshots } = summary;
  const commands = events.filter(({ operation }) => COMMANDS.has(operation));
  const others = events.filter(({ operation }) => !COMMANDS.has(operation));
  const failed = summary.failedCommandCount === 0 ? '' : `, ${summary.failedCommandCount} failed`;
  const older = summary.omittedEvents > 0 || summary.truncated ? ' Older events are left out.' : '';
  return [
    `# ${plain(name)}: what happened since ${since}\n\n`,
    `${plain(environment)}, ${state}. ${summary.commandCount} commands${failed}.${older}\n`,
    section(
      'Changes',
      (changes ?? []).map(
        ({ path, change, addedLines, removedLines }) =>
          `${change} ${code(path)} (+${addedLines} -${removedLines})`,
      ),
    ),
    section(
      'Commands',
      commands.map(({ text, exitCode }) => `${code(text)}${exitCode === undefined ? '' : ` → ${exitCode}`}`),
    ),
    section(
      'Other work',
      others.map(({ operation, text }) => (text === '' ? operation : `${operation} ${code(text)}`)),
    ),
    section(
      'Services',
      services.map(({ name: service, state: how }) => `${code(service)} ${how}`),
    ),
    section('Snapshots', snapshots.map(code)),
  ].join('');
}

/** The last of its lines; nothing where there are none. */
function section(title: string, lines: readonly string[]): string {
  if (lines.length === 0) return '';
  const left = lines.length - MAX_SHOWN;
  const more = left > 0 ? `- … ${left} before\n` : '';
  const shown = lines.slice(Math.max(0, left)).map((line) => `- ${line}\n`);
  return `\n## ${title}\n\n${more}${shown.join('')}`;
}

function plain(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' ');
}

/** A code span that its content cannot end. */
function code(text: string): string {
  const shown = plain(text);
  return shown.includes('`') ? `\`\` ${shown.replaceAll(/`{2,}/g, '`')} \`\`` : `\`${shown}\``;
}
