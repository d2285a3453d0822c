/** The sources as JavaScript in a directory of their own, for tests that need several real processes of them. */
import { cp, mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** What the sources look for beside themselves. */
const COMPANIONS = ['package.json', 'catalog'];
const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Transpiles `src/` and the named files of `test/`. Nothing is checked: that is `npm run typecheck`'s task.
 *
 * @returns A fresh directory inside the repository, so that packages are found, with `src/…` in it; the caller removes it.
 */
export async function transpileSources(testFiles: readonly string[] = []): Promise<string> {
  await mkdir(join(REPOSITORY, 'build'), { recursive: true });
  const directory = await mkdtemp(join(REPOSITORY, 'build', 'transpiled-'));
  for (const name of COMPANIONS) await cp(join(REPOSITORY, name), join(directory, name), { recursive: true });
  const all = await readdir(join(REPOSITORY, 'src'), { recursive: true });
  const sources = all.filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  for (const name of [...sources.map((source) => join('src', source)), ...testFiles]) {
    const { outputText } = ts.transpileModule(await readFile(join(REPOSITORY, name), 'utf8'), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
    });
    const path = join(directory, name.replace(/\.ts$/, '.js'));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, outputText);
  }
  return directory;
}
