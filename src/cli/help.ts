/** Help texts, made from the description of the commands. */
import { COMMON_OPTIONS, type Command, type CommandGroup, type OptionSpec } from './command.js';

const COLUMN_CHARS = 26;

function optionLine(name: string, { short, type, value, help, multiple }: OptionSpec): string {
  const head = `  ${short === undefined ? '   ' : `-${short},`} --${name}${type === 'string' ? ` ${value ?? 'VALUE'}` : ''}`;
  const text = multiple === true ? `${help} (repeatable)` : help;
  return head.length < COLUMN_CHARS + 2
    ? `${head.padEnd(COLUMN_CHARS + 2)}${text}`
    : `${head}\n${' '.repeat(COLUMN_CHARS + 2)}${text}`;
}

/** The help of one command. */
export function commandHelp(command: Command): string {
  const options = Object.entries({ ...command.options, ...COMMON_OPTIONS }).map(([name, spec]) =>
    optionLine(name, spec),
  );
  const examples =
    command.examples === undefined ? [] : ['', 'Examples:', ...command.examples.map((line) => `  ${line}`)];
  return [
    command.summary,
    '',
    `Usage: hearth ${command.name} ${command.usage}`.trimEnd(),
    ...examples,
    '',
    'Options:',
    ...options,
    '',
  ].join('\n');
}

/** The help of `hearth` itself. */
export function overview(groups: readonly CommandGroup[]): string {
  const lines = groups.flatMap(({ title, commands }) => [
    `${title}:`,
    ...commands.map(({ name, summary }) => `  ${name.padEnd(18)}${summary}`),
    '',
  ]);
  return [
    'Run commands in microVMs made from container images.',
    '',
    'Usage: hearth COMMAND [OPTIONS] [ARG...]',
    '',
    'First steps:',
    '  hearth doctor                          see whether this machine is ready',
    '  hearth run debian:12 -- git --version  run a command in a fresh microVM',
    '  hearth run -i alpine:3.20 sh           run any image, with your input',
    '',
    ...lines,
    'Type `hearth COMMAND --help` for the options of a command.',
    '',
  ].join('\n');
}
