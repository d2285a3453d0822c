// Many sandboxes at once: made and started together, a command in each, all there at the same time, then removed.
//
//   node bench/sandboxes.mjs [--count 50] [--memory 256] [--environment debian:12] [--parallel 4] [--json]
//
// Private memory is what the kernel counts for each VMM alone (Private_Clean and Private_Dirty of smaps_rollup):
// pages of the boot snapshot that nobody has written to are shared by all and counted once, beside it. It is read
// when all are up and each has run a command. HEARTH_HOME says where the environment is.
import { readFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { Hearth } from '../dist/index.js';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '50' },
    memory: { type: 'string', default: '256' },
    environment: { type: 'string', default: 'debian:12' },
    parallel: { type: 'string', default: String(availableParallelism()) },
    json: { type: 'boolean', default: false },
  },
});
const count = Number(values.count);
const MIB = 1024;
const round = (number) => Number(number.toFixed(1));

/** Calls `body` for 0, 1, … in so many lanes; the ms that each took. */
async function lanes(total, parallel, body) {
  const times = [];
  let next = 0;
  const lane = async () => {
    while (next < total) {
      const index = next;
      next += 1;
      const startedAt = performance.now();
      await body(index);
      times.push(performance.now() - startedAt);
    }
  };
  await Promise.all(Array.from({ length: parallel }, lane));
  return times;
}

function spread(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const at = (share) => round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]);
  return { p50: at(0.5), p99: at(0.99), max: round(sorted.at(-1)) };
}

async function memoryOf(pid) {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kib = (field) => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
  return { privateMib: (kib('Private_Clean') + kib('Private_Dirty')) / MIB, pssMib: kib('Pss') / MIB };
}

const parallel = Number(values.parallel);
const hearth = await Hearth.open();
const spec = { image: values.environment, memoryMib: Number(values.memory) };
// The boot snapshot of this size is made once, before the clock starts.
await (await hearth.sandboxes.create(spec)).remove();

const sandboxes = [];
const phases = {};
const phase = async (name, body) => {
  const startedAt = performance.now();
  const times = await body();
  phases[name] = { allMs: Math.round(performance.now() - startedAt), eachMs: spread(times) };
};
let memory = [];
try {
  await phase('create and start', () =>
    lanes(count, parallel, async (index) => {
      sandboxes[index] = await hearth.sandboxes.create(spec);
    }),
  );
  await phase('exec', () =>
    lanes(count, parallel, async (index) => {
      const { stdout } = await sandboxes[index].exec(`echo ${index}`);
      if (stdout !== `${index}\n`) throw new Error(`sandbox ${index} answered ${stdout}`);
    }),
  );
  memory = await Promise.all(sandboxes.map(async (sandbox) => memoryOf((await sandbox.refresh()).pid)));
} finally {
  const made = sandboxes.filter((sandbox) => sandbox !== undefined);
  await phase('remove', () => lanes(made.length, parallel, (index) => made[index].remove()));
  await hearth.close();
}
const result = {
  count,
  memoryMib: spec.memoryMib,
  parallel,
  environment: values.environment,
  load: loadavg().map(round),
  phases,
  privateMib: spread(memory.map(({ privateMib }) => privateMib)),
  pssMib: spread(memory.map(({ pssMib }) => pssMib)),
  allPssMib: round(memory.reduce((sum, { pssMib }) => sum + pssMib, 0)),
};
if (values.json) console.log(JSON.stringify(result, null, 2));
else {
  console.log(
    `${count} sandboxes of ${spec.memoryMib} MiB, ${parallel} at a time, load ${result.load.join(' ')}\n`,
  );
  for (const [name, { allMs, eachMs }] of Object.entries(phases)) {
    console.log(`${name.padEnd(18)} all ${allMs} ms; each p50 ${eachMs.p50} ms, max ${eachMs.max} ms`);
  }
  console.log(`private memory     each p50 ${result.privateMib.p50} MiB, max ${result.privateMib.max} MiB`);
  console.log(`share of memory    all ${result.allPssMib} MiB (pages that are shared counted once)`);
}
