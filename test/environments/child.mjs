// A process of its own for the tests that run many or kill one. Arguments: the compiled hearth, settings as JSON
// ({ home, agentPath, kernels, document }), a method and its arguments as JSON. Says `phase <name>` for every new
// phase; with `settings.stopAt` it then hangs in that phase, waiting to be killed.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [compiled, settingsText, method, argumentsText] = process.argv.slice(2);
const settings = JSON.parse(settingsText);
const load = (folder) => import(join(compiled, 'src', folder, 'index.js'));
const { openEnvironmentStore, parseCatalog } = await load('environments');
const { hearthPaths } = await load('fsx');

const bundle = JSON.parse(readFileSync(settings.kernel, 'utf8'));
const store = await openEnvironmentStore({
  paths: hearthPaths({ HEARTH_HOME: settings.home }),
  agentPath: settings.agentPath,
  catalog: parseCatalog(settings.document),
  env: {},
  registry: { env: {}, limits: { retryBaseMs: 1 } },
  parts: { kernels: { get: async () => bundle, ensure: async () => bundle } },
});
const seen = new Set();
const onProgress = ({ phase, doneBytes }) => {
  const step = doneBytes === undefined ? phase : `${phase}-bytes`;
  if (!seen.has(step)) {
    seen.add(step);
    process.stdout.write(`phase ${step}\n`);
  }
  // Progress is told in passing: to stop there, nothing may go on.
  if (settings.stopAt === step) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
};
mkdirSync(settings.home, { recursive: true });
try {
  const result = await store[method](...JSON.parse(argumentsText), { onProgress });
  process.stdout.write(`${JSON.stringify(result)}\n`);
} catch (error) {
  writeFileSync(2, `${error.code} ${error.message}\n`);
  process.exitCode = 1;
}
