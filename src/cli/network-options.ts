/** The options that say what a guest may reach. */
import { HearthError } from '../errors/index.js';
import type { NetworkMode } from '../sandboxes/index.js';
import type { OptionSpec, ParsedArguments } from './command.js';

export const NETWORK_OPTIONS = {
  'allow-host': {
    type: 'string',
    multiple: true,
    value: 'HOST',
    help: 'Let it reach this host by HTTP(S); *.example.org works',
  },
  net: {
    type: 'string',
    value: 'MODE',
    help: 'none (default), public: any public host by HTTP(S), full: unfiltered',
  },
} as const satisfies Record<string, OptionSpec>;

const MODES: readonly NetworkMode[] = ['none', 'public', 'full'];

/** Reads {@link NETWORK_OPTIONS}; what is not given is absent. @throws {HearthError} `USAGE_INVALID`. */
export function readNetwork(args: ParsedArguments): {
  readonly network?: NetworkMode;
  readonly allowHosts?: string[];
} {
  const net = args.text('net');
  const network = MODES.find((mode) => mode === net);
  if (net !== undefined && network === undefined) {
    throw new HearthError('USAGE_INVALID', `no network mode ${JSON.stringify(net.slice(0, 64))}`, {
      hint: 'Use --net none, public or full, or name hosts with --allow-host HOST.',
      details: { net: net.slice(0, 64) },
    });
  }
  const hosts = [...args.list('allow-host')];
  return {
    ...(network === undefined ? {} : { network }),
    ...(hosts.length === 0 ? {} : { allowHosts: hosts }),
  };
}
