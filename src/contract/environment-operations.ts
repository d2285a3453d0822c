/** The operations on environments. */
import * as schemas from './environment-schemas.js';
import { operation } from './operation.js';

export const ENVIRONMENT_OPERATIONS = {
  'environment.list': operation({
    doc: 'Every environment of the catalog, and everything else that is installed',
    input: schemas.noInput,
    output: schemas.environmentListOutput,
  }),
  'environment.pull': operation({
    doc: 'Make an environment of the catalog, or any image, bootable; repairs a broken one',
    input: schemas.pullInput,
    output: schemas.oneEnvironment,
    progress: true,
  }),
  'environment.inspect': operation({
    doc: 'What is installed of an environment, and what is wrong with it',
    input: schemas.environmentInput,
    output: schemas.environmentInspectOutput,
  }),
  'environment.verify': operation({
    doc: 'Hash everything that is installed, and compare',
    input: schemas.verifyInput,
    output: schemas.verifyOutput,
    progress: true,
  }),
  'environment.prune': operation({
    doc: 'Remove partial, damaged and outdated environments; never a valid one',
    input: schemas.environmentPruneInput,
    output: schemas.environmentPruneOutput,
    progress: true,
  }),
  'environment.remove': operation({
    doc: 'Remove an environment; with force also one that a sandbox uses',
    input: schemas.environmentRemoveInput,
    output: schemas.environmentRemoveOutput,
    progress: true,
  }),
  'environment.register': operation({
    doc: 'Make an ext4 image and a kernel of the host an environment',
    input: schemas.registerInput,
    output: schemas.oneEnvironment,
    progress: true,
  }),
} as const;
