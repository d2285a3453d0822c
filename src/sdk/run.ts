/** One command in a fresh VM. */
import { errorFromJson, type OperationInput, type Service } from '../contract/index.js';
import { type Command, type ExecOptions, type ExecResult, eventsTo, wordsOf } from './command.js';
import { callOptions, type ProgressOptions } from './environments.js';

type RunInput = OperationInput<'sandbox.run'>;

export interface RunOptions
  extends Omit<RunInput, 'argv' | 'stdin' | 'stdinBase64' | 'maxOutputBytes'>,
    Pick<ExecOptions, 'maxOutputBytes' | 'onOutput'>,
    ProgressOptions {
  /** Name of an environment, or the reference of an image; pulled when it is not installed. */
  readonly image: string;
  /** Default: what the image runs. */
  readonly command?: Command | undefined;
  /** Its standard input, up to 4 MiB. Default: none. */
  readonly stdin?: string | Uint8Array | undefined;
}

export interface RunResult extends ExecResult {
  /** Name of the environment. */
  readonly environment: string;
  readonly accelerator: 'kvm' | 'tcg';
  /** How its VM came up: resumed after an earlier boot, or booted. */
  readonly start: 'warm' | 'cold' | 'pool';
}

export async function runInFreshVm(service: Service, options: RunOptions): Promise<RunResult> {
  const { signal, onProgress, onOutput, command, stdin, ...rest } = options;
  const input: RunInput = {
    ...rest,
    ...(command === undefined ? {} : { argv: wordsOf(command) }),
    ...(stdin === undefined ? {} : { stdinBase64: Buffer.from(stdin as Uint8Array).toString('base64') }),
  };
  const answer = await service.call('sandbox.run', input, {
    ...callOptions(options),
    ...(onOutput === undefined ? {} : { onOutput: eventsTo(onOutput) }),
  });
  const { stdoutEncoding, stderrEncoding, failure, ...result } = answer;
  const bytes = {
    stdout: Buffer.from(answer.stdout, stdoutEncoding),
    stderr: Buffer.from(answer.stderr, stderrEncoding),
  };
  return {
    ...result,
    stdout: bytes.stdout.toString('utf8'),
    stderr: bytes.stderr.toString('utf8'),
    bytes,
    failure: failure === null ? null : errorFromJson(failure),
  };
}
