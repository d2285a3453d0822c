/** `hearth pool`: what waits in the daemon's pool. */
import type { Command } from '../command.js';
import { openService } from '../service.js';
import { JSON_OPTION, printJson } from '../shared-options.js';
import { escapeControls, table } from '../terminal.js';

export const pool: Command = {
  name: 'pool',
  summary: 'List the VMs that wait for commands; `hearth serve --pool` keeps them',
  usage: '[--json]',
  options: JSON_OPTION,
  positionals: { least: 0, most: 0 },
  async run(args, context) {
    const service = await openService(context);
    const { pools } = await service.call('pool.list', {});
    if (args.flag('json')) {
      printJson(context, { pools });
      return 0;
    }
    const rows = pools.map(({ environment, size, waiting, inUse, claimed, error }) => [
      escapeControls(environment),
      `${waiting}/${size}`,
      String(inUse),
      String(claimed),
      error === null ? '' : escapeControls(error).slice(0, 30),
    ]);
    context.stdout.write(table(['ENVIRONMENT', 'WAITING', 'IN USE', 'CLAIMED', 'ERROR'], rows));
    return 0;
  },
};
