/** The options of commands that serve on TCP. */
import { resolve } from 'node:path';
import { HearthError } from '../errors/index.js';
import { type ListenAddress, parseListenAddress, readTokenFile } from '../listen/index.js';
import type { OptionSpec, ParsedArguments } from './command.js';

/** @param served What `--listen` gives to whoever has the token: `Serve the HTTP API on TCP too`. */
export function listenOptions(
  served: string,
): Readonly<Record<'listen' | 'token-file' | 'allow-remote', OptionSpec>> {
  return {
    listen: { type: 'string', value: '[ADDRESS:]PORT', help: `${served}, to whoever has the token` },
    'token-file': {
      type: 'string',
      value: 'FILE',
      help: 'With --listen: holds the token, mode 0600; made when it is missing',
    },
    'allow-remote': {
      type: 'boolean',
      help: 'With --listen: also an address that other machines reach; there is no TLS',
    },
  };
}

/**
 * Undefined when none of them is given.
 *
 * @param command As it is typed: `hearth serve`.
 * @throws {HearthError} `USAGE_INVALID`, and those of the token file.
 */
export async function readListenOptions(
  args: ParsedArguments,
  command: string,
): Promise<{ readonly address: ListenAddress; readonly token: string } | undefined> {
  const [listen, tokenFile] = [args.text('listen'), args.text('token-file')];
  const allowRemote = args.flag('allow-remote');
  if (listen === undefined && tokenFile === undefined && !allowRemote) return undefined;
  if (listen === undefined || tokenFile === undefined) {
    throw new HearthError('USAGE_INVALID', 'TCP needs an address and a token', {
      hint: `Give both: ${command} --listen 127.0.0.1:7420 --token-file FILE`,
    });
  }
  return {
    address: parseListenAddress(listen, { allowRemote }),
    token: await readTokenFile(resolve(tokenFile)),
  };
}
