/** A program on a pseudo terminal, in a test's hand. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

export interface Terminal {
  /** What it has shown since the last `forget`. */
  output(): string;
  forget(): void;
  type(text: string): void;
  /** Resolves once the terminal has the size. */
  resize(columns: number, rows: number): Promise<void>;
  /** Hangs up. Resolves when the program is gone. */
  close(): Promise<void>;
}

export async function openTerminal(
  command: string,
  args: readonly string[],
  { env }: { readonly env: NodeJS.ProcessEnv },
): Promise<Terminal> {
  const script = fileURLToPath(new URL('run_on_terminal.py', import.meta.url));
  const child = spawn('python3', [script, command, ...args], {
    env,
    stdio: ['pipe', 'pipe', 'inherit', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close');
  const [input, shown, , sizes, done] = child.stdio as unknown as [
    ...[Writable, Readable, null, Writable, Readable],
  ];
  let text = '';
  shown.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  for (const stream of [input, sizes]) stream.on('error', () => {});
  await once(child, 'spawn');
  return {
    output: () => text,
    forget: () => {
      text = '';
    },
    type: (typed) => void input.write(typed),
    resize: async (columns, rows) => {
      const set = once(done, 'data');
      sizes.write(`${columns} ${rows}\n`);
      await set;
    },
    close: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
