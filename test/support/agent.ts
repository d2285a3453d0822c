/** The guest agent under test as an ordinary process; `agent-vm.ts` boots it. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  type AgentClient,
  type ConnectOptions,
  connectAgent,
  type ExecExit,
  type ExecSpec,
  type GuestProcess,
} from '../../src/agent/index.js';
import { REPOSITORY } from './cli.js';

const run = promisify(execFile);
export const AGENT_PATH = `${REPOSITORY}build/agent/hearth-agent`;
/** The same agent under AddressSanitizer and UndefinedBehaviorSanitizer. */
const SANITIZED_AGENT_PATH = `${AGENT_PATH}-sanitized`;

/** Both builds of the agent, for `describe.each`. */
export const AGENTS: readonly (readonly [name: string, path: string])[] = [
  ['the agent', AGENT_PATH],
  ['the agent under sanitizers', SANITIZED_AGENT_PATH],
];

/** Builds both agents unless they are up to date. */
export async function buildAgents(): Promise<void> {
  await run('make', ['-C', `${REPOSITORY}guest/agent`, 'all', 'sanitized']);
}

export interface LocalAgent {
  readonly client: AgentClient;
  readonly process: ChildProcess;
  /** Closes the channel and waits for the agent's end, which must be clean. */
  close(): Promise<void>;
}

/** The built agent as a child process, serving on a socket pair. */
export function spawnAgent(path = AGENT_PATH): { process: ChildProcess; channel: Duplex } {
  const child = spawn(path, ['--serve-fd', '3'], {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    env: {},
  });
  return { process: child, channel: child.stdio[3] as Duplex };
}

export async function startLocalAgent(
  options: ConnectOptions & { readonly path?: string } = {},
): Promise<LocalAgent> {
  const { process: child, channel } = spawnAgent(options.path);
  const ended = once(child, 'exit');
  const client = await connectAgent(channel, { timeoutMs: 60_000, ...options });
  return {
    client,
    process: child,
    close: async () => {
      client.close();
      const [exitCode] = await ended;
      if (exitCode !== 0) throw new Error(`the agent ended with ${exitCode}`);
    },
  };
}

export interface Collected {
  readonly stdout: string;
  readonly stderr: string;
  readonly exit: ExecExit;
}

export async function collect(process: GuestProcess): Promise<Collected> {
  const [stdout, stderr, exit] = await Promise.all([
    buffer(process.stdout),
    buffer(process.stderr),
    process.exited,
  ]);
  return { stdout: stdout.toString('latin1'), stderr: stderr.toString('latin1'), exit };
}

/** A shell script as a command. */
export const shell = (script: string) => ({
  argv: ['/bin/sh', '-c', script],
  env: { PATH: '/usr/bin:/bin' },
});

const UNTIL_TIMEOUT_MS = 60_000;

export async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  const giveUpAt = Date.now() + UNTIL_TIMEOUT_MS;
  while (Date.now() < giveUpAt) {
    if (await condition()) return;
    await sleep(25);
  }
  throw new Error(`not within ${UNTIL_TIMEOUT_MS / 1000} s: ${what}`);
}

/** Runs a command to its end; PATH is the tester's unless the spec has one. */
export async function execute(client: AgentClient, spec: ExecSpec, input?: string): Promise<Collected> {
  const guest = client.exec(input === undefined ? spec : { ...spec, stdin: true });
  if (input !== undefined) guest.stdin?.end(input);
  return await collect(guest);
}
