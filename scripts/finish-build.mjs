// The last step of `npm run build`: what tsc leaves to do.
// The command line must be executable when it is run through a symbolic link in node_modules/.bin.
import { chmodSync, existsSync } from 'node:fs';

const main = new URL('../dist/cli/main.js', import.meta.url);
if (existsSync(main)) chmodSync(main, 0o755);
