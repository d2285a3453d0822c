/** `hearth serve`: the daemon in the foreground, and its end. */
import { parseDuration } from '../../bytes/index.js';
import { runDaemon } from '../../daemon/index.js';
import { packageVersion } from '../../fsx/index.js';
import { guestAgentPath } from '../../sandboxes/index.js';
import { stopDaemon } from '../../sdk/index.js';
import type { Command } from '../command.js';
import { withInterrupt } from '../interrupt.js';
import { listenOptions, readListenOptions } from '../listen-options.js';
import { POOL_OPTIONS, readPoolOptions } from '../pool-options.js';

export const serve: Command = {
  name: 'serve',
  summary: 'Run the daemon in the foreground; other commands start it by themselves',
  usage: '[OPTIONS] | --stop [--keep]',
  options: {
    'idle-exit': {
      type: 'string',
      value: 'DURATION',
      help: 'End after this long without a running sandbox and without a request',
    },
    ...listenOptions('Serve the HTTP API on TCP too'),
    ...POOL_OPTIONS,
    stop: { type: 'boolean', help: 'Shut down the running daemon and its sandboxes' },
    keep: { type: 'boolean', help: 'With --stop: let the sandboxes run on' },
  },
  positionals: { least: 0, most: 0 },
  examples: [
    'hearth serve',
    'hearth serve --listen 127.0.0.1:7420 --token-file ~/.hearth-token',
    'hearth serve --pool debian:12=2',
    'hearth serve --stop --keep',
  ],
  async run(args, context) {
    const { paths, stderr } = context;
    const version = packageVersion();
    if (args.flag('stop')) {
      const wasRunning = await stopDaemon({ paths, version }, args.flag('keep') ? 'keep' : 'stop');
      stderr.write(wasRunning ? 'the daemon ends\n' : 'no daemon is running\n');
      return 0;
    }
    const idleExit = args.text('idle-exit');
    const tcp = await readListenOptions(args, 'hearth serve');
    const pool = await readPoolOptions(args, context);
    await withInterrupt((signal) =>
      runDaemon({
        paths,
        version,
        agentPath: guestAgentPath(),
        signal,
        ...(idleExit === undefined ? {} : { idleExitMs: parseDuration(idleExit) }),
        ...(tcp === undefined ? {} : { tcp }),
        ...(pool === undefined ? {} : { pool }),
        onReady: ({ socketPath, url, runtime }) => {
          const running = runtime.activeCount;
          const also = url === undefined ? '' : ` and ${url}`;
          stderr.write(`hearth ${version} serves ${socketPath}${also} (${running} running)\n`);
        },
      }),
    );
    return 0;
  },
};
