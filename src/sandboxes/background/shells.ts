/** The shells of sandboxes, by the name of the sandbox. */
import { HearthError } from '../../errors/index.js';
import { notRunning } from '../sandbox-errors.js';
import type { SandboxBackground } from './sandbox-background.js';
import { type ReadShellOptions, Shell, type ShellInfo, type ShellOutput } from './shell.js';

export interface OpenShellSpec {
  /** Default: a login shell. */
  readonly argv?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly workdir?: string | undefined;
  readonly user?: string | undefined;
  /** Character cells. Default 30 rows of 120 columns. */
  readonly rows?: number | undefined;
  readonly columns?: number | undefined;
}

const MAX_SHELLS = 16;
const DEFAULT_ROWS = 30;
const DEFAULT_COLUMNS = 120;
const LOGIN_SHELL = ['/bin/sh', '-c', 'command -v bash >/dev/null && exec bash -l; exec sh -l'];

/** All throw `SANDBOX_NOT_FOUND` and `SANDBOX_AMBIGUOUS`; those that take a shell's number `SHELL_NOT_FOUND`. */
export class Shells {
  readonly #of: (reference: string) => Promise<SandboxBackground>;

  constructor(of: (reference: string) => Promise<SandboxBackground>) {
    this.#of = of;
  }

  /** @throws {HearthError} `SANDBOX_NOT_RUNNING`, `SHELLS_TOO_MANY`, those of starting a command. */
  async open(
    reference: string,
    { argv = LOGIN_SHELL, rows = DEFAULT_ROWS, columns = DEFAULT_COLUMNS, ...command }: OpenShellSpec,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<ShellInfo> {
    const background = await this.#of(reference);
    const { sandbox } = background;
    if (sandbox.record.state !== 'running') throw notRunning(sandbox.record);
    assertRoom(background);
    const shell = await Shell.open(background, { ...command, argv, rows, columns }, signal);
    background.shells.set(shell.record.key.execId, shell);
    await background.save();
    return shell.info();
  }

  /** Oldest first. */
  async list(reference: string): Promise<ShellInfo[]> {
    const { shells } = await this.#of(reference);
    await Promise.all([...shells.values()].map(({ held }) => held.attach().catch(() => undefined)));
    return [...shells.values()].map((shell) => shell.info());
  }

  async read(reference: string, shell: number, options: ReadShellOptions): Promise<ShellOutput> {
    return await shellOf(await this.#of(reference), shell).read(options);
  }

  /** @throws {HearthError} `EXEC_CONFLICT` when it has ended, `AGENT_TIMEOUT` when it does not read. */
  async write(reference: string, shell: number, input: Uint8Array): Promise<void> {
    await shellOf(await this.#of(reference), shell).write(input);
  }

  /** INT, QUIT and TSTP as the keys of its terminal, any other to everything that runs in it. */
  async signal(reference: string, shell: number, signal: string): Promise<void> {
    await shellOf(await this.#of(reference), shell).signal(signal);
  }

  async close(reference: string, number: number): Promise<ShellInfo> {
    const background = await this.#of(reference);
    const shell = shellOf(background, number);
    await shell.close();
    background.shells.delete(number);
    await background.save();
    return shell.info();
  }
}

function shellOf({ shells, sandbox }: SandboxBackground, number: number): Shell {
  const shell = shells.get(number);
  if (shell !== undefined) return shell;
  throw new HearthError('SHELL_NOT_FOUND', `the sandbox ${sandbox.name} has no shell ${number}`, {
    hint: `Open one with \`hearth shell open ${sandbox.name}\`; \`hearth shell list ${sandbox.name}\` shows those it has.`,
    details: { sandbox: sandbox.name, shell: number },
  });
}

/** Those that have ended give way. */
function assertRoom({ shells, sandbox }: SandboxBackground): void {
  if (shells.size < MAX_SHELLS) return;
  for (const [number, { held }] of shells) if (held.end !== undefined) shells.delete(number);
  if (shells.size < MAX_SHELLS) return;
  throw new HearthError('SHELLS_TOO_MANY', `the sandbox ${sandbox.name} has ${MAX_SHELLS} shells open`, {
    hint: `Close one: hearth shell close ${sandbox.name} NUMBER`,
    details: { sandbox: sandbox.name, mostShells: MAX_SHELLS },
  });
}
