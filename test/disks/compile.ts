/** Compiles the folders below `src/disks` so that a process without vitest can load them. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ts from 'typescript';

const FOLDERS = ['errors', 'bytes', 'subprocess', 'fsx', 'disks'];

/** @returns A temporary directory, the caller's to remove, with `disks/index.js` in it. */
export function compileDisks(): string {
  const out = mkdtempSync(join(tmpdir(), 'hearth-compiled-'));
  writeFileSync(join(out, 'package.json'), '{"type":"module"}');
  for (const folder of FOLDERS) {
    const source = join(import.meta.dirname, '../../src', folder);
    mkdirSync(join(out, folder));
    for (const name of readdirSync(source)) {
      if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
      const { outputText } = ts.transpileModule(readFileSync(join(source, name), 'utf8'), {
        compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
      });
      writeFileSync(join(out, folder, name.replace(/\.ts$/, '.js')), outputText);
    }
  }
  return out;
}
