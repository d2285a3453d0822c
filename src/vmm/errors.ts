/** The errors of every driver. */
import { HearthError } from '../errors/index.js';
import { escapeControl } from './console-log.js';
import type { Vm, VmExit } from './driver.js';

const SHOWN_CONSOLE_BYTES = 2048;

/**
 * What to throw when a VM ended that should run: `VM_EXITED`, with how its VMM ended and the end of its
 * console. Waits until the VMM is gone.
 */
export async function vmExitedError(vm: Vm): Promise<HearthError> {
  const exit = await vm.exited;
  return exitError(exit, await vm.consoleTail(SHOWN_CONSOLE_BYTES));
}

/** The same from its parts. */
export function exitError(exit: VmExit, consoleTail: string): HearthError {
  const { exitCode, signal } = exit;
  const stderr = escapeControl(exit.stderr).trim();
  const how = signal === null ? `exit code ${exitCode}` : `signal ${signal}`;
  const said = [stderr, consoleTail.trim()].filter((text) => text !== '').join('\n');
  return new HearthError('VM_EXITED', `the VM ended by itself (${how})${said === '' ? '' : `:\n${said}`}`, {
    hint:
      signal === 'SIGKILL'
        ? 'Something killed the VMM; look for the out-of-memory killer in `dmesg` and give the VM less memory.'
        : 'Read the last lines above; `hearth doctor` checks this machine and what is installed.',
    details: { exitCode, signal, stderr, consoleTail },
  });
}
