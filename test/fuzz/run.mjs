// Every fuzzer of what registries, images and guests send.
//
//   npm run fuzz -- [--target tar|merge|gzip|zstd|manifest|challenge|frames|disks|ext4|unpack]… [--runs 100000] [--seed 1]
//
// Run number i uses the seed + i alone: a failure names its seed, and `--target T --seed THAT --runs 1` replays it.
// What must hold: only coded errors are thrown; the same bytes come to the same end however they are cut; nothing is
// handed out that was not put in or lies beyond a limit; no run takes longer than two seconds.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { assert, randomOf } from './chance.mjs';
import { targets as disks } from './disks.mjs';
import { targets as formats } from './formats.mjs';
import { targets as layers, openScratch } from './layers.mjs';

const MAX_RUN_MS = 2000;
const targets = { ...layers, ...formats, ...disks };

export const TARGETS = Object.keys(targets);

/** Throws at the first run that breaks a rule, naming its seed. */
export async function fuzz(target, seed, runs) {
  const scratch = openScratch();
  try {
    for (let run = seed; run < seed + runs; run += 1) {
      const startedAt = performance.now();
      try {
        await targets[target](randomOf(run), scratch);
      } catch (error) {
        throw new Error(`${target}, seed ${run}: ${error.stack}`, { cause: error });
      }
      // Lets closed streams go, which wait for a turn of the event loop.
      if (run % 50 === 0) await new Promise((turn) => setImmediate(turn));
      const ms = performance.now() - startedAt;
      assert(ms < MAX_RUN_MS, `${target}, seed ${run}: took ${ms} ms`);
    }
  } finally {
    scratch.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      target: { type: 'string', multiple: true, default: TARGETS },
      runs: { type: 'string', default: '100000' },
      seed: { type: 'string', default: '1' },
    },
  });
  for (const target of values.target) {
    const startedAt = performance.now();
    await fuzz(target, Number(values.seed), Number(values.runs));
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    const mib = Math.round(process.resourceUsage().maxRSS / 1024);
    console.log(`${target}: ${values.runs} runs from seed ${values.seed}, ${seconds} s, at most ${mib} MiB`);
  }
}
