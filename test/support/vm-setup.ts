/** Before any test that boots a VM: the environment that they share is installed, by the command a user would type. */
import { hearth } from './cli.js';

export async function setup(): Promise<void> {
  const { exitCode, stderr } = await hearth(['env', 'pull', 'debian:12', '--quiet']);
  if (exitCode !== 0) throw new Error(`the environment of the tests could not be installed:\n${stderr}`);
}
