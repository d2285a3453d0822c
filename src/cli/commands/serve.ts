/** `hearth serve`: the daemon in the foreground, and its end. */
import { parseDuration } from '../../bytes/index.js';
import { runDaemon } from '../../daemon/index.js';
import { packageVersion } from '../../fsx/index.js';
import { guestAgentPath } from '../../sandboxes/index.js';
import { stopDaemon } from '../../sdk/index.js';
import type { Command } from '../command.js';
import { withInterrupt } from '../interrupt.js';

export const serve: Command = {
  name: 'serve',
  summary: 'Run the daemon in the foreground; other commands start it by themselves',
  usage: '[--idle-exit DURATION] | --stop [--keep]',
  options: {
    'idle-exit': {
      type: 'string',
      value: 'DURATION',
      help: 'End after this long without a running sandbox and without a request',
    },
    stop: { type: 'boolean', help: 'Shut down the running daemon and its sandboxes' },
    keep: { type: 'boolean', help: 'With --stop: let the sandboxes run on' },
  },
  positionals: { least: 0, most: 0 },
  examples: ['hearth serve', 'hearth serve --stop --keep'],
  async run(args, { paths, stderr }) {
    const version = packageVersion();
    if (args.flag('stop')) {
      const wasRunning = await stopDaemon({ paths, version }, args.flag('keep') ? 'keep' : 'stop');
      stderr.write(wasRunning ? 'the daemon ends\n' : 'no daemon is running\n');
      return 0;
    }
    const idleExit = args.text('idle-exit');
    await withInterrupt((signal) =>
      runDaemon({
        paths,
        version,
        agentPath: guestAgentPath(),
        signal,
        ...(idleExit === undefined ? {} : { idleExitMs: parseDuration(idleExit) }),
        onReady: ({ socketPath, runtime }) => {
          const running = runtime.activeCount;
          stderr.write(`hearth ${version} serves ${socketPath} (${running} running)\n`);
        },
      }),
    );
    return 0;
  },
};
