/** The initrd to boot an environment with: its own, unless hearth's agent has changed since it was packed. */
import { digestOfAgent, readPlacedBundle } from './boot-artifacts.js';
import type { StoreContext } from './context.js';
import type { Environment } from './environment.js';

/**
 * An environment whose initrd holds another agent than today's gets a new initrd from the cache, packed from
 * its own kernel modules; the install itself does not change.
 *
 * @throws {HearthError} `FILE_NOT_FOUND` without the agent.
 */
export async function withFreshInitrd(environment: Environment, context: StoreContext): Promise<Environment> {
  const packedWith = environment.installManifest.agent_digest;
  if (packedWith === null) return environment;
  const { agentPath, initrdCacheDirectory } = context.installer;
  if (packedWith === (await digestOfAgent(agentPath))) return environment;
  const bundle = await readPlacedBundle(environment.directory);
  if (bundle === undefined) return environment;
  const initrd = await context.parts.ensureInitrd(bundle, {
    agentPath,
    cacheDirectory: initrdCacheDirectory,
  });
  return { ...environment, initrdPath: initrd.path };
}
