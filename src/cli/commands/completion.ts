/** `hearth completion SHELL`: scripts that ask hearth itself what a line could go on with. */
import { HearthError } from '../../errors/index.js';
import type { Command } from '../command.js';

const BASH = `# bash completion for hearth: source <(hearth completion bash)
_hearth() {
  local line="\${COMP_LINE:0:COMP_POINT}" current words word _rest
  # Of its own, bash cuts words at colons, which stand in names of environments.
  read -ra words <<< "$line"
  current=""
  if [[ "$line" != *[[:space:]] ]]; then current="\${words[-1]}"; unset 'words[-1]'; fi
  COMPREPLY=()
  while IFS=$'\\t' read -r word _rest; do
    COMPREPLY+=("$word")
  done < <("\${words[0]}" __complete -- "\${words[@]:1}" "$current" 2>/dev/null)
  if [[ "$current" == *:* && "$COMP_WORDBREAKS" == *:* ]]; then
    COMPREPLY=("\${COMPREPLY[@]#"\${current%"\${current##*:}"}"}")
  fi
}
complete -o default -F _hearth hearth
`;

const ZSH = `#compdef hearth
# zsh completion for hearth: hearth completion zsh > "\${fpath[1]}/_hearth"
_hearth() {
  local line word description
  local -a found
  while IFS=$'\\t' read -r word description; do
    found+=("\${word//:/\\\\:}:$description")
  done < <("\${words[1]}" __complete -- "\${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)
  if (( \${#found} )); then _describe 'hearth' found; else _files; fi
}
if [[ "$funcstack[1]" == _hearth ]]; then _hearth "$@"; else compdef _hearth hearth; fi
`;

const FISH = `# fish completion for hearth: hearth completion fish > ~/.config/fish/completions/hearth.fish
function __hearth_complete
  set -l words (commandline --tokenize --cut-at-cursor --current-process)
  set -l current (commandline --cut-at-cursor --current-token)
  $words[1] __complete -- $words[2..-1] "$current" 2>/dev/null
end
complete --command hearth --no-files --condition 'test -n "$(__hearth_complete)"' --arguments '(__hearth_complete)'
`;

const SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH };

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
  async run(args, { stdout }) {
    const [shell = ''] = args.positionals;
    const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
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
    stdout.write(script);
    return 0;
  },
};
