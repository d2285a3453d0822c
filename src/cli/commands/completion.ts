/** `hearth completion SHELL`: completion scripts, made from the commands' own descriptions. */
import { HearthError } from '../../errors/index.js';
import { COMMON_OPTIONS, type Command, type CommandGroup } from '../command.js';

interface Described {
  readonly name: string;
  readonly summary: string;
  /** `--json`, `-q`. */
  readonly flags: readonly string[];
}

async function describeCommands(groups: readonly CommandGroup[]): Promise<Described[]> {
  const entries = groups.flatMap(({ commands }) => commands);
  return await Promise.all(
    entries.map(async ({ name, summary, load }) => {
      const { options } = await load();
      const flags = Object.entries({ ...options, ...COMMON_OPTIONS }).flatMap(([option, { short }]) =>
        short === undefined ? [`--${option}`] : [`--${option}`, `-${short}`],
      );
      return { name, summary, flags };
    }),
  );
}

const firstWords = (commands: readonly Described[]): string[] => [
  ...new Set(commands.map(({ name }) => name.split(' ')[0] ?? '')),
];

const secondWords = (commands: readonly Described[], first: string): string[] =>
  commands.flatMap(({ name }) => (name.startsWith(`${first} `) ? [name.slice(first.length + 1)] : []));

/** Commands whose argument is an environment, completed with the names that are installed or known. */
const TAKES_ENVIRONMENT = ['run', 'env pull', 'env inspect', 'env verify', 'env rm'];
const LIST_ENVIRONMENTS = "hearth env list 2>/dev/null | awk 'NR > 2 { print $1 }'";

function bash(commands: readonly Described[]): string {
  const cases = commands.map(({ name, flags }) => {
    const words = TAKES_ENVIRONMENT.includes(name)
      ? `${flags.join(' ')} $(${LIST_ENVIRONMENTS})`
      : flags.join(' ');
    return `    '${name}') words="${words}" ;;`;
  });
  const groups = firstWords(commands)
    .map((first) => [first, secondWords(commands, first)] as const)
    .filter(([, seconds]) => seconds.length > 0)
    .map(([first, seconds]) => `    '${first}') [ "$COMP_CWORD" -eq 2 ] && words="${seconds.join(' ')}" ;;`);
  return `# bash completion for hearth: source <(hearth completion bash)
_hearth() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words=""
  local one="\${COMP_WORDS[1]}" two="\${COMP_WORDS[1]} \${COMP_WORDS[2]}"
  if [ "$COMP_CWORD" -eq 1 ]; then words="${firstWords(commands).join(' ')}"; fi
  case "$one" in
${cases.filter((line) => !line.includes(" '") || !/'\w+ \w+'/.test(line)).join('\n')}
${groups.join('\n')}
  esac
  case "$two" in
${cases.filter((line) => /'\w+ \w+'/.test(line)).join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  # A colon in a name splits words in bash; give back only what follows it.
  if [[ "$current" == *:* ]]; then COMPREPLY=("\${COMPREPLY[@]#"\${current%"\${current##*:}"}"}"); fi
}
complete -o default -F _hearth hearth
`;
}

function zsh(commands: readonly Described[]): string {
  const quote = (text: string): string => text.replaceAll("'", "'\\''").replaceAll(':', '\\:');
  const firsts = firstWords(commands).map((first) => {
    const command = commands.find(({ name }) => name === first);
    return `    '${first}:${quote(command?.summary ?? `${first} commands`)}'`;
  });
  const seconds = firstWords(commands)
    .filter((first) => secondWords(commands, first).length > 0)
    .map((first) => {
      const lines = commands
        .filter(({ name }) => name.startsWith(`${first} `))
        .map(({ name, summary }) => `'${name.slice(first.length + 1)}:${quote(summary)}'`);
      return `    ${first}) if (( CURRENT == 3 )); then local -a rest=(${lines.join(' ')}); _describe command rest; return; fi ;;`;
    });
  const flags = commands.map(({ name, flags: list }) => `    '${name}') compadd -- ${list.join(' ')} ;;`);
  const names = TAKES_ENVIRONMENT.map((name) => `'${name}'`).join('|');
  return `#compdef hearth
# zsh completion for hearth: hearth completion zsh > "\${fpath[1]}/_hearth"
_hearth() {
  local -a commands=(
${firsts.join('\n')}
  )
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  case "$words[2]" in
${seconds.join('\n')}
  esac
  local name
  for name in "$words[2] $words[3]" "$words[2]"; do
    case "$name" in
      ${names}) if [[ "$PREFIX" != -* ]]; then compadd -- \${(f)"$(${LIST_ENVIRONMENTS})"}; return; fi ;;
    esac
    case "$name" in
${flags.join('\n')}
    *) continue ;;
    esac
    return
  done
}
_hearth "$@"
`;
}

function fish(commands: readonly Described[]): string {
  const quote = (text: string): string => text.replaceAll("'", "\\'");
  const lines = firstWords(commands).map((first) => {
    const summary = commands.find(({ name }) => name === first)?.summary ?? `${first} commands`;
    return `complete -c hearth -n __fish_use_subcommand -f -a ${first} -d '${quote(summary)}'`;
  });
  for (const { name, summary, flags } of commands) {
    const [first = '', second] = name.split(' ');
    const seen =
      second === undefined
        ? `__fish_seen_subcommand_from ${first}`
        : `__fish_seen_subcommand_from ${first}; and __fish_seen_subcommand_from ${second}`;
    if (second !== undefined) {
      const siblings = secondWords(commands, first).join(' ');
      lines.push(
        `complete -c hearth -n '__fish_seen_subcommand_from ${first}; and not __fish_seen_subcommand_from ${siblings}' -f -a ${second} -d '${quote(summary)}'`,
      );
    }
    for (const flag of flags.filter((word) => word.startsWith('--')))
      lines.push(`complete -c hearth -n '${seen}' -l ${flag.slice(2)}`);
    if (TAKES_ENVIRONMENT.includes(name))
      lines.push(`complete -c hearth -n '${seen}' -f -a "(${LIST_ENVIRONMENTS.replaceAll('$', '\\$')})"`);
  }
  return `# fish completion for hearth: hearth completion fish > ~/.config/fish/completions/hearth.fish\n${lines.join('\n')}\n`;
}

const SHELLS: Readonly<Record<string, (commands: readonly Described[]) => string>> = { bash, zsh, fish };

export const completion: Command = {
  name: 'completion',
  summary: 'Print a completion script for a shell',
  usage: 'bash|zsh|fish',
  options: {},
  positionals: { least: 1, most: 1 },
  examples: [
    'source <(hearth completion bash)',
    'hearth completion fish > ~/.config/fish/completions/hearth.fish',
  ],
  async run(args, { stdout, groups }) {
    const [shell = ''] = args.positionals;
    const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
    if (script === undefined) {
      throw new HearthError(
        'USAGE_INVALID',
        `no completion for the shell ${JSON.stringify(shell.slice(0, 64))}`,
        {
          hint: 'Type `hearth completion bash`, `zsh` or `fish`.',
          details: { shell: shell.slice(0, 64) },
        },
      );
    }
    stdout.write(script(await describeCommands(groups)));
    return 0;
  },
};
