// The last step of `npm run build`: what tsc leaves to do.
// The library in C that QEMU loads (host/discard.c) is built here;
// the command line must be executable when it is run through a symbolic link in node_modules/.bin.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync } from 'node:fs';

const main = new URL('../dist/cli/main.js', import.meta.url);
if (existsSync(main)) chmodSync(main, 0o755);
execFileSync('make', ['--silent', '--directory', 'host'], {
  cwd: new URL('..', import.meta.url),
  stdio: 'inherit',
});
