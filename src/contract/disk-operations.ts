/** Operations on the disks of sandboxes, whether they run or not; `disk-handlers.ts` carries them out. */
import * as schemas from './disk-schemas.js';

export const DISK_OPERATIONS = {
  'disk.list': {
    doc: 'The files in a directory on the disk of a sandbox, by name; it need not run',
    input: schemas.diskListInput,
    output: schemas.diskListOutput,
    progress: true,
  },
  'disk.diff': {
    doc: 'What a sandbox has added to the file system of its environment, modified and deleted',
    input: schemas.diskDiffInput,
    output: schemas.diskDiffOutput,
    progress: true,
  },
} as const;

export const DISK_DOWNLOADS = {
  'disk.read': {
    doc: 'The content of a file on the disk of a sandbox',
    input: schemas.diskReadInput,
    head: schemas.diskReadHead,
    mediaType: 'application/octet-stream',
  },
  'disk.tar': {
    doc: 'The file system of a sandbox, or a part of it, as a tar archive',
    input: schemas.diskTarInput,
    head: schemas.diskHead,
    mediaType: 'application/x-tar',
  },
  'disk.export': {
    doc: 'The disk of a sandbox as a raw image',
    input: schemas.diskExportInput,
    head: schemas.diskHead,
    mediaType: 'application/octet-stream',
  },
  'disk.diffTar': {
    doc: 'What a sandbox has changed as a tar archive, with whiteouts for what it has deleted',
    input: schemas.diskExportInput,
    head: schemas.diskHead,
    mediaType: 'application/x-tar',
  },
  'disk.diffPatch': {
    doc: 'What a sandbox has changed as a patch',
    input: schemas.diskExportInput,
    head: schemas.diskHead,
    mediaType: 'text/x-diff',
  },
} as const;
