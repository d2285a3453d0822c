/** Operations on the files of a running sandbox; `file-handlers.ts` carries them out. */
import * as schemas from './file-schemas.js';
import { nothing } from './schemas.js';

export const FILE_OPERATIONS = {
  'file.stat': {
    doc: 'What a file of a running sandbox is',
    input: schemas.fileStatInput,
    output: schemas.fileOutput,
  },
  'file.list': {
    doc: 'The files in a directory of a running sandbox, by name',
    input: schemas.fileListInput,
    output: schemas.fileListOutput,
  },
  'file.mkdir': {
    doc: 'Make a directory in a running sandbox',
    input: schemas.fileMkdirInput,
    output: nothing,
  },
  'file.remove': {
    doc: 'Remove a file or directory of a running sandbox',
    input: schemas.fileRemoveInput,
    output: nothing,
  },
  'file.rename': {
    doc: 'Rename a file of a running sandbox',
    input: schemas.fileRenameInput,
    output: nothing,
  },
} as const;

export const FILE_DOWNLOADS = {
  'file.read': {
    doc: 'The content of a file of a running sandbox',
    input: schemas.fileReadInput,
    head: schemas.fileReadHead,
    mediaType: 'application/octet-stream',
  },
  'tree.read': {
    doc: 'A file or directory of a running sandbox as a tar archive',
    input: schemas.treeReadInput,
    head: schemas.treeReadHead,
    mediaType: 'application/x-tar',
  },
} as const;

export const FILE_UPLOADS = {
  'file.write': {
    doc: 'Put a file into a running sandbox, whole or not at all',
    input: schemas.fileWriteInput,
    output: schemas.fileOutput,
    mediaType: 'application/octet-stream',
  },
  'tree.write': {
    doc: 'Put the files of a tar archive into a directory of a running sandbox',
    input: schemas.treeWriteInput,
    output: schemas.treeWriteOutput,
    mediaType: 'application/x-tar',
  },
} as const;
