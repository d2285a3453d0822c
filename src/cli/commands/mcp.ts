/** `hearth mcp`: hearth's tools for coding agents, on standard input and output or over HTTP. */
import { packageVersion } from '../../fsx/index.js';
import { createBackend, serveOverHttp, serveOverStdio } from '../../mcp/index.js';
import type { Command } from '../command.js';
import { withInterrupt } from '../interrupt.js';
import { listenOptions, readListenOptions } from '../listen-options.js';
import { readView, VIEW_OPTIONS, viewPlace } from '../mcp-view.js';
import { escapeControls } from '../terminal.js';

export const mcp: Command = {
  name: 'mcp',
  summary: 'Serve hearth’s tools to a coding agent (Model Context Protocol) on stdin and stdout',
  usage: '[OPTIONS]',
  options: {
    ...VIEW_OPTIONS,
    ...listenOptions('Serve over HTTP on TCP instead'),
  },
  positionals: { least: 0, most: 0 },
  examples: [
    'hearth mcp',
    'hearth mcp --profile full --image debian:12 --memory 1G',
    'hearth mcp --listen 127.0.0.1:7421 --token-file ~/.hearth-token',
  ],
  async run(args, { paths, env, stdin, stdout, stderr }) {
    const view = readView(args, viewPlace(env));
    const version = packageVersion();
    const backend = createBackend({ paths, version, env });
    const onError = ({ message }: Error): void => {
      stderr.write(`hearth mcp: ${escapeControls(message)}\n`);
    };
    const tcp = await readListenOptions(args, 'hearth mcp');
    const onReady = (url: string): void => {
      stderr.write(`hearth ${version} serves its tools at ${url}\n`);
    };
    await withInterrupt((signal) =>
      tcp === undefined
        ? serveOverStdio({ view, backend, version, stdin, stdout, signal, onError })
        : serveOverHttp({ view, backend, version, ...tcp, signal, onReady, onError }),
    );
    return 0;
  },
};
