import process from 'node:process';
import { packageVersion } from '../../fsx/index.js';
import type { Command } from '../command.js';

export const version: Command = {
  name: 'version',
  summary: 'Show the version of hearth',
  usage: '[--json]',
  options: { json: { type: 'boolean', help: 'Print one JSON document' } },
  positionals: { least: 0, most: 0 },
  async run(args, { stdout }) {
    const facts = {
      hearth: packageVersion(),
      node: process.versions.node,
      platform: `${process.platform}/${process.arch}`,
    };
    if (args.flag('json')) stdout.write(`${JSON.stringify({ schemaVersion: 1, ...facts }, null, 2)}\n`);
    else stdout.write(`hearth ${facts.hearth} (node ${facts.node}, ${facts.platform})\n`);
    return 0;
  },
};
