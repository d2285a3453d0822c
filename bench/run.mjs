// `hearth run ENVIRONMENT -- true` as a whole process: from spawn to the first byte of output and to the exit.
//
//   node bench/run.mjs [--runs 5] [--environment debian:12] [--json]
//
// The clock covers: start of node, loading hearth, resolving the environment, cloning its disk, starting QEMU,
// booting the kernel, the agent's hello, the command, and removing everything again. It does not cover the first
// pull of the environment, which one run before the clock starts has done. Beside it, in the same run: bare
// `node -e 0` and `hearth --version`, so that the figures can be read as ratios on a noisy machine.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    environment: { type: 'string', default: 'debian:12' },
    json: { type: 'boolean', default: false },
  },
});
const runs = Number(values.runs);
const cli = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

function time(args) {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let firstByteMs;
    let stdout = '';
    child.stdout.on('data', (chunk) => {
      firstByteMs ??= performance.now() - startedAt;
      stdout += chunk;
    });
    child.on('error', reject);
    child.on('close', (exitCode) => {
      if (exitCode !== 0) reject(new Error(`${args.join(' ')}: exit code ${exitCode}`));
      else resolve({ totalMs: performance.now() - startedAt, firstByteMs, stdout });
    });
  });
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

const variants = {
  'node -e 0': ['-e', '0'],
  'hearth --version': [cli, '--version'],
  'run, first byte': [cli, 'run', values.environment, '--', 'echo', 'x'],
  'run --json': [cli, 'run', '--json', values.environment, '--', 'true'],
};

await time(variants['run --json']);
const samples = Object.fromEntries(Object.keys(variants).map((name) => [name, []]));
for (let index = 0; index < runs; index += 1) {
  for (const [name, args] of Object.entries(variants)) samples[name].push(await time(args));
}

const bareMs = median(samples['node -e 0'].map(({ totalMs }) => totalMs));
const figures = Object.entries(samples).map(([name, list]) => ({
  name,
  totalMs: Math.round(median(list.map(({ totalMs }) => totalMs))),
  firstByteMs: Math.round(median(list.map(({ firstByteMs, totalMs }) => firstByteMs ?? totalMs))),
  timesBareNode: Number((median(list.map(({ totalMs }) => totalMs)) / bareMs).toFixed(2)),
}));
const documents = samples['run --json'].map(({ stdout }) => JSON.parse(stdout));
const phasesMs = Object.fromEntries(
  Object.keys(documents[0].durationsMs).map((phase) => [
    phase,
    median(documents.map(({ durationsMs }) => durationsMs[phase])),
  ]),
);
const result = {
  runs,
  environment: values.environment,
  accelerator: documents[0].accelerator,
  figures,
  phasesMs,
};

if (values.json) console.log(JSON.stringify(result, null, 2));
else {
  console.log(`${runs} runs of ${values.environment}, accelerator ${result.accelerator}, medians\n`);
  for (const { name, totalMs, firstByteMs, timesBareNode } of figures) {
    console.log(
      `${name.padEnd(18)} ${String(totalMs).padStart(6)} ms   first byte ${String(firstByteMs).padStart(6)} ms   ${timesBareNode} x node`,
    );
  }
  console.log(
    `\nphases of run: ${Object.entries(phasesMs)
      .map(([phase, ms]) => `${phase} ${ms} ms`)
      .join(', ')}`,
  );
}
