/** Results as a reader sees them: what matters first, then the output between lines that say what it is. */

interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  readonly timedOut: boolean;
  readonly oomKilled: boolean;
  readonly durationMs: number;
}

export function renderOutput(result: CommandResult, notes: readonly string[] = []): string {
  const end = result.timedOut
    ? ', timed out'
    : result.oomKilled
      ? ', killed for lack of memory: use more memory or less at once'
      : '';
  return [
    `exit code ${result.exitCode} after ${(result.durationMs / 1000).toFixed(1)} s${end}`,
    ...section('stdout', result.stdout, result.stdoutBytes),
    ...section('stderr', result.stderr, result.stderrBytes),
    ...notes,
  ].join('\n');
}

function section(name: string, text: string, totalBytes: number): string[] {
  if (totalBytes === 0) return [];
  return [`--- ${name}, ${totalBytes} bytes ---`, text.replace(/\n$/, ''), `--- end of ${name} ---`];
}
