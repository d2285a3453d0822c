// The round trip of a command in a running sandbox: from the call to its exit code and the last byte of its output.
//
//   node bench/exec.mjs [--runs 200] [--environment debian:12] [--json]
//
// `in process` calls the SDK with the sandboxes in this process, `through the daemon` over the daemon's socket, and
// `hearth exec` is a whole process of its own. The guest says how long each command ran there, from its fork to its
// end; what is above that is hearth's own: two crossings of the channel, the frames, the streams. `a question` is the
// shortest conversation there is, one frame each way and no process (which commands run). Each row is measured alone, one call after the other, after
// twenty calls that are not counted. HEARTH_HOME says where the environment is; no daemon may be running there.
import { spawn } from 'node:child_process';
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Hearth } from '../dist/index.js';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '200' },
    environment: { type: 'string', default: 'debian:12' },
    json: { type: 'boolean', default: false },
  },
});
const runs = Number(values.runs);
const cli = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const WARM_UPS = 20;
const COMMAND = ['/bin/true'];

const quantile = (numbers, share) => {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
};
const round = (ms) => Number(ms.toFixed(2));

/** One call after the other; `call` answers with the guest's own ms, or undefined where nobody says. */
async function measure(name, count, call) {
  for (let index = 0; index < Math.min(WARM_UPS, count); index += 1) await call();
  const totals = [];
  const guests = [];
  const overheads = [];
  for (let index = 0; index < count; index += 1) {
    const startedAt = performance.now();
    const guestMs = await call();
    const totalMs = performance.now() - startedAt;
    totals.push(totalMs);
    if (guestMs === undefined) continue;
    guests.push(guestMs);
    overheads.push(totalMs - guestMs);
  }
  const of = (list) =>
    list.length === 0 ? null : { p50: round(quantile(list, 0.5)), p99: round(quantile(list, 0.99)) };
  return { name, runs: count, totalMs: of(totals), guestMs: of(guests), overheadMs: of(overheads) };
}

async function withSandbox(mode, body) {
  const hearth = await Hearth.open({ mode });
  const sandbox = await hearth.sandboxes.create({ image: values.environment, memoryMib: 256 });
  try {
    return await body(sandbox);
  } finally {
    await sandbox.remove();
    await hearth.close();
  }
}

function wholeProcess(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`${args.join(' ')}: ${code}`))));
  });
}

const run = async (sandbox) => (await sandbox.exec(COMMAND)).durationMs;
const rows = [
  ...(await withSandbox('in-process', async (sandbox) => [
    await measure('a question, in process', runs, async () => void (await sandbox.refresh())),
    await measure('exec, in process', runs, () => run(sandbox)),
  ])),
  ...(await withSandbox('daemon', async (sandbox) => [
    await measure('exec, through the daemon', runs, () => run(sandbox)),
    await measure('hearth exec', Math.ceil(runs / 10), () =>
      wholeProcess(['exec', sandbox.id, '--', ...COMMAND]),
    ),
  ])),
];
const result = { environment: values.environment, load: loadavg().map(round), rows };
if (values.json) console.log(JSON.stringify(result, null, 2));
else {
  const cell = (figure) => (figure === null ? ['', ''] : [String(figure.p50), String(figure.p99)]);
  console.log(`${values.environment}, load ${result.load.join(' ')}; ms: p50, p99\n`);
  for (const { name, runs: count, totalMs, guestMs, overheadMs } of rows) {
    const cells = [...cell(totalMs), ...cell(guestMs), ...cell(overheadMs)].map((text) => text.padStart(9));
    console.log(`${name.padEnd(26)}${String(count).padStart(5)}${cells.join('')}`);
  }
}
