/** Compiles hearth so that a process without vitest can load it: the tests kill such processes. */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import ts from 'typescript';

const ROOT = join(import.meta.dirname, '../..');

/** @returns A temporary directory, the caller's to remove, with `dist/environments/index.js` in it. */
export function compileEnvironments(): string {
  const out = mkdtempSync(join(tmpdir(), 'hearth-compiled-'));
  cpSync(join(ROOT, 'catalog'), join(out, 'catalog'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(out, 'package.json'));
  symlinkSync(join(ROOT, 'node_modules'), join(out, 'node_modules'));
  for (const folder of readdirSync(join(ROOT, 'src'))) {
    const source = join(ROOT, 'src', folder);
    for (const name of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
      const { outputText } = ts.transpileModule(readFileSync(join(source, name), 'utf8'), {
        compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
      });
      const target = join(out, 'dist', folder, name.replace(/\.ts$/, '.js'));
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, outputText);
    }
  }
  return out;
}
