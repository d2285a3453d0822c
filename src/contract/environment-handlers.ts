/** The operations on environments, carried out by a store of this process. */
import type { Environment, EnvironmentStore } from '../environments/index.js';
import type { ENVIRONMENT_OPERATIONS } from './environment-operations.js';
import type { HandlersOf } from './handlers.js';

export function environmentHandlers(store: EnvironmentStore): HandlersOf<typeof ENVIRONMENT_OPERATIONS> {
  return {
    'environment.list': async () => ({
      environments: (await store.list()).map(({ installed: _installed, aliases, size, ...rest }) => ({
        ...rest,
        aliases: [...aliases],
        size: size === null ? null : { ...size },
      })),
    }),
    'environment.pull': async ({ environment, ...wishes }, { signal, onProgress }) => ({
      environment: shown(await store.pull(environment, { ...given(wishes), signal, onProgress })),
    }),
    'environment.inspect': async ({ environment: name }) => {
      const {
        environment,
        size,
        problems,
        installed,
        directory,
        version,
        name: found,
      } = await store.inspect(name);
      return {
        name: found,
        version,
        installed,
        directory,
        problems: [...problems],
        environment: environment === undefined ? null : shown(environment),
        size: size === null ? null : { ...size },
      };
    },
    'environment.verify': async ({ environments }, { signal }) => {
      const verified = await store.verify(environments ?? [], { all: environments === undefined, signal });
      return { environments: verified.map((one) => ({ ...one, problems: [...one.problems] })) };
    },
    'environment.prune': async ({ dryRun = false }, { signal }) => {
      const { freedBytes, removed, kept } = await store.prune({ dryRun, signal });
      return {
        dryRun,
        freedBytes,
        removed: removed.map((one) => ({ ...one })),
        kept: kept.map((one) => ({ ...one, users: [...one.users] })),
      };
    },
    'environment.remove': async ({ environment, force = false }, { signal }) => {
      const { name, removed, freedBytes } = await store.remove(environment, { force, signal });
      return { name, removed: [...removed], freedBytes };
    },
    'environment.register': async ({ name, rootfsPath, ...wishes }, { signal, onProgress }) => ({
      environment: shown(await store.register(name, { rootfsPath, ...given(wishes), signal, onProgress })),
    }),
  };
}

/** Without the fields that were not given. */
function given<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}

function shown(environment: Environment) {
  const { imageConfig, kernel, initrdPath, rootfsDigest } = environment;
  const { name, version, platform, origin, reference, source, sourceDigest } = environment;
  const { directory, rootfsPath, kernelPath, installedAt } = environment;
  return {
    name,
    version,
    platform,
    origin,
    reference,
    source,
    sourceDigest,
    rootfsDigest: rootfsDigest ?? null,
    kernel: kernel === null ? null : { ...kernel },
    imageConfig: {
      env: [...imageConfig.env],
      workingDir: imageConfig.workingDir,
      user: imageConfig.user,
      entrypoint: [...imageConfig.entrypoint],
      cmd: [...imageConfig.cmd],
    },
    directory,
    rootfsPath,
    kernelPath,
    initrdPath: initrdPath ?? null,
    installedAt,
  };
}
