/** What is written down of a sandbox's services and shells, in `processes.json` of its directory. */
import { join } from 'node:path';
import { readFileBounded, writeFileAtomic } from '../../fsx/index.js';
import { exactly, listOf, oneOf, type Shaped, text, variantOf, whole } from '../../shape/index.js';

const FILE = 'processes.json';
const MAX_FILE_BYTES = 8 * 1024 * 1024;
const VERSION = 1;
const MAX_RECORDS = 1000;

const port = whole(1, 65_535);

const readiness = variantOf('kind', {
  file: exactly({ kind: oneOf('file'), path: text() }),
  tcp: exactly({ kind: oneOf('tcp'), port }),
  http: exactly({ kind: oneOf('http'), url: text() }),
  command: exactly({ kind: oneOf('command'), argv: listOf(text(), { least: 1 }) }),
});
/** What shows that a service is ready. */
export type Readiness = Shaped<typeof readiness>;

const key = exactly({ bootId: text(), execId: whole(0), pid: whole(0) });
const end = exactly({ at: text(), exitCode: whole(0, 255).nullable(), signal: text().nullable() });

const service = exactly({
  name: text(),
  argv: listOf(text()),
  key,
  startedAt: text(),
  ready: readiness.nullable(),
  readyAt: text().nullable(),
  /** Why it is no longer wanted; null: it is. */
  verdict: oneOf('stopped', 'failed').nullable(),
  ports: listOf(
    exactly({
      address: text(),
      hostPort: whole(0, 65_535),
      guestPort: port,
      published: port.nullable(),
    }),
  ),
  end: end.nullable(),
});
export type ServiceRecord = Shaped<typeof service>;

const shell = exactly({
  argv: listOf(text()),
  key,
  startedAt: text(),
  rows: port,
  columns: port,
});
export type ShellRecord = Shaped<typeof shell>;

const fileShape = exactly({
  schemaVersion: oneOf(VERSION),
  services: listOf(service, { most: MAX_RECORDS }),
  shells: listOf(shell, { most: MAX_RECORDS }),
});

export interface ProcessRecords {
  readonly services: readonly ServiceRecord[];
  readonly shells: readonly ShellRecord[];
}

/** A file that is not there, or not understood, has none: its commands end with their VM. */
export async function readProcessRecords(directory: string): Promise<ProcessRecords> {
  try {
    const bytes = await readFileBounded(join(directory, FILE), MAX_FILE_BYTES);
    const reading = fileShape.read(JSON.parse(bytes.toString('utf8')));
    return reading.ok ? reading.value : { services: [], shells: [] };
  } catch {
    return { services: [], shells: [] };
  }
}

export async function writeProcessRecords(directory: string, records: ProcessRecords): Promise<void> {
  await writeFileAtomic(join(directory, FILE), `${JSON.stringify({ schemaVersion: VERSION, ...records })}\n`);
}
