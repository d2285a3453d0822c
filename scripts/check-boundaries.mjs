// Checks the import directions of src/ and, first, that the check itself can fail:
// the deliberate violations in test/fixtures/bad-boundaries must all be reported.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = `${root}node_modules/.bin/depcruise`;
const EXPECTED_PROBE_ERRORS = 3;

function cruise(directory) {
  const run = spawnSync(bin, ['--config', `${root}.dependency-cruiser.cjs`, '--output-type', 'json', 'src'], {
    cwd: directory,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  });
  if (run.error) throw run.error;
  if (run.stdout.trim() === '') throw new Error(`dependency-cruiser printed nothing: ${run.stderr}`);
  return JSON.parse(run.stdout).summary;
}

const probe = cruise(`${root}test/fixtures/bad-boundaries`);
if (probe.error !== EXPECTED_PROBE_ERRORS) {
  console.error(`boundaries: the probe reported ${probe.error} errors, expected ${EXPECTED_PROBE_ERRORS}`);
  process.exit(1);
}
const summary = cruise(root);
for (const { rule, from, to } of summary.violations) console.error(`${rule.name}: ${from} → ${to}`);
if (summary.totalCruised === 0) {
  console.error('boundaries: no module was read');
  process.exit(1);
}
console.log(
  `boundaries: ${summary.totalCruised} modules, ${summary.violations.length} violations, probe seen`,
);
process.exit(summary.violations.length === 0 ? 0 : 1);
