import type { Runtime } from '../sandboxes/index.js';
import { CapturedOutput } from './captured-run.js';
import type { HandlersOf } from './handlers.js';
import type { RUN_OPERATIONS } from './run-operations.js';

export function runHandlers(runtime: Runtime): HandlersOf<typeof RUN_OPERATIONS> {
  return {
    'exec.run': async ({ sandbox, stdin, stdinBase64, maxOutputBytes, ...spec }, { signal, onOutput }) => {
      const input = bytesOf(stdin, stdinBase64);
      const passed = signal === undefined ? {} : { signal };
      const guest = await runtime.exec(sandbox, { ...spec, stdin: input !== undefined }, passed);
      guest.stdin?.end(input);
      const output = new CapturedOutput(maxOutputBytes, onOutput);
      return output.answer(await output.follow(guest));
    },
    'sandbox.run': async (
      { argv, stdin, stdinBase64, maxOutputBytes, ...spec },
      { signal, onProgress, onOutput },
    ) => {
      const output = new CapturedOutput(maxOutputBytes, onOutput);
      const outcome = await runtime.runOnce(
        { ...spec, command: argv, stdin: bytesOf(stdin, stdinBase64) },
        {
          ...(signal === undefined ? {} : { signal }),
          ...(onProgress === undefined ? {} : { onProgress }),
          onOutput: (stream, bytes) => output.take(stream, bytes),
        },
      );
      const { environment, accelerator, start } = outcome;
      return { ...output.answer(outcome), environment, accelerator, start };
    },
  };
}

function bytesOf(text: string | undefined, base64: string | undefined): Buffer | undefined {
  if (text !== undefined) return Buffer.from(text, 'utf8');
  return base64 === undefined ? undefined : Buffer.from(base64, 'base64');
}
