import { type CheckStatus, checkHost, guestAgentPath } from '../../sandboxes/index.js';
import type { Command } from '../command.js';
import { escapeControls, type Style, styleFor } from '../terminal.js';

const FAILED_EXIT_CODE = 1;

function mark(status: CheckStatus, style: Style): string {
  if (status === 'pass') return style.green('ok  ');
  return status === 'warn' ? style.yellow('warn') : style.red('FAIL');
}

export const doctor: Command = {
  name: 'doctor',
  summary: 'Check whether this machine is ready, and say how to mend what is not',
  usage: '[--json] [--strict]',
  options: {
    json: { type: 'boolean', help: 'Print one JSON document' },
    strict: { type: 'boolean', help: 'Exit 1 on a warning too' },
  },
  positionals: { least: 0, most: 0 },
  async run(args, { paths, stdout, env }) {
    const checks = await checkHost({ paths, agentPath: guestAgentPath() });
    const worst: CheckStatus = checks.some(({ status }) => status === 'fail')
      ? 'fail'
      : checks.some(({ status }) => status === 'warn')
        ? 'warn'
        : 'pass';
    if (args.flag('json')) {
      stdout.write(`${JSON.stringify({ schemaVersion: 1, status: worst, checks }, null, 2)}\n`);
    } else {
      const style = styleFor(stdout, env);
      const width = Math.max(...checks.map(({ id }) => id.length));
      for (const { id, status, reason, fix } of checks) {
        stdout.write(`${mark(status, style)}  ${style.bold(id.padEnd(width))}  ${escapeControls(reason)}\n`);
        if (fix !== undefined)
          stdout.write(`${' '.repeat(width + 8)}${style.dim('mend it:')} ${escapeControls(fix)}\n`);
      }
    }
    return worst === 'fail' || (worst === 'warn' && args.flag('strict')) ? FAILED_EXIT_CODE : 0;
  },
};
