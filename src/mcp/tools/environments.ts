/** The tools that list and pull environments. */
import { z } from 'zod';
import { guestText } from '../guest-text.js';
import { CHANGES_SANDBOX, defineTool, READ_ONLY } from '../tool.js';
import * as fields from './fields.js';

const MAX_LISTED = 200;

export const environmentList = defineTool({
  name: 'environment_list',
  title: 'List the environments',
  description:
    'Lists what sandboxes can be made from without a download, and what the catalog offers. Any container image ' +
    'works too, by its reference.',
  annotations: READ_ONLY,
  input: z.strictObject({}),
  output: z.object({
    environments: z.array(
      z.object({ name: z.string(), description: z.string(), installed: z.boolean(), isDefault: z.boolean() }),
    ),
    total: z.number(),
    truncated: z.boolean(),
  }),
  async run(_input, { backend, view }) {
    const { images } = view.pins;
    const all = (await (await backend.environments()).list())
      .filter(({ name }) => images.length === 0 || images.includes(name))
      .map(({ name, description, installed, isDefault }) => ({
        name,
        description: guestText(description),
        installed,
        isDefault: images.length === 0 ? isDefault : name === images[0],
      }));
    const environments = all.slice(0, MAX_LISTED);
    const text = environments
      .map(({ name, description, installed, isDefault }) => {
        const state = installed ? 'installed' : 'available';
        return `${name}  ${state}${isDefault ? ', default' : ''}  ${description}`;
      })
      .join('\n');
    return {
      structured: { environments, total: all.length, truncated: environments.length < all.length },
      text,
    };
  },
});

export const environmentPull = defineTool({
  name: 'environment_pull',
  title: 'Pull an environment or image',
  description:
    'Makes an environment of the catalog, or any container image, ready to be run. run and sandbox_create do this ' +
    'by themselves; use it to do the slow part ahead.',
  annotations: { ...CHANGES_SANDBOX, idempotentHint: true, openWorldHint: true },
  input: z.strictObject({ image: fields.image.optional() }),
  hidden: fields.hiddenImageField,
  narrowed: (view) => {
    const { image } = fields.narrowedFields(view);
    return image === undefined ? {} : { image };
  },
  output: z.object({ name: z.string(), source: z.string() }),
  async run(input, { backend, view, signal, progress }) {
    const store = await backend.environments();
    const { name, source } = await store.ensureInstalled(input.image ?? view.pins.images[0], {
      signal,
      onProgress: ({ phase, environment, doneBytes, totalBytes }) =>
        progress({ message: `${phase} ${environment}`, doneBytes, totalBytes }),
    });
    return { structured: { name, source }, text: `${name} is ready, from ${source}` };
  },
});
