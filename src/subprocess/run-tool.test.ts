import { describe, expect, it } from 'vitest';
import { runTool } from './run-tool.js';

describe('runTool', () => {
  it('keeps stdout and stderr apart and passes input', async () => {
    const { stdout, stderr, exitCode } = await runTool('sh', ['-c', 'cat; echo err >&2'], { input: 'in' });
    expect([stdout.toString(), stderr, exitCode]).toEqual(['in', 'err\n', 0]);
  });

  it.each([
    ['an exit code', 'echo why >&2; exit 3', { exitCode: 3, stderr: 'why' }],
    ['a signal', 'kill -TERM $$', { exitCode: null, signal: 'SIGTERM' }],
  ])('fails with %s', async (_name, script, details) => {
    await expect(runTool('sh', ['-c', script])).rejects.toMatchObject({ code: 'TOOL_FAILED', details });
  });

  it('accepts the exit codes that are results', async () => {
    expect((await runTool('sh', ['-c', 'exit 75'], { okExitCodes: [0, 75] })).exitCode).toBe(75);
  });

  it('names a missing program', async () => {
    await expect(runTool('no-such-program-here', [], { installHint: 'Install it.' })).rejects.toMatchObject({
      code: 'TOOL_NOT_FOUND',
      hint: 'Install it.',
    });
  });

  it('ends the whole group after the timeout, a child that keeps the pipe open too', async () => {
    const startedAt = performance.now();
    await expect(runTool('sh', ['-c', 'sleep 600 & sleep 600'], { timeoutMs: 100 })).rejects.toMatchObject({
      code: 'TOOL_TIMEOUT',
    });
    expect(performance.now() - startedAt).toBeLessThan(20_000);
  });

  it('rejects with the reason of an abort', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const run = runTool('sleep', ['600'], { signal: controller.signal });
    controller.abort(reason);
    await expect(run).rejects.toBe(reason);
    await expect(runTool('true', [], { signal: controller.signal })).rejects.toBe(reason);
  });

  it.each([3, 4, 5])('keeps the last %d bytes of a longer output', async (maxOutputBytes) => {
    const { stdout } = await runTool('printf', ['12345'], { maxOutputBytes });
    expect(stdout.toString()).toBe('12345'.slice(-maxOutputBytes));
  });

  it('hands over lines of stderr as they come', async () => {
    const lines: string[] = [];
    await runTool('sh', ['-c', 'printf "a\\r\\nb\\rc\\n" >&2'], { onStderrLine: (line) => lines.push(line) });
    expect(lines.filter((line) => line !== '')).toEqual(['a', 'b', 'c']);
  });
});
