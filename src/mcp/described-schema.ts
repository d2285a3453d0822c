/** A zod schema as the protocol library takes it: for the list of tools only, because the tools check for themselves. */
import type { StandardSchemaWithJSON } from '@modelcontextprotocol/server';
import { z } from 'zod';

/**
 * Not told to a model: limits that no honest call comes near, each a few tokens in every conversation. Some clients
 * also refuse schemas with words that they do not know.
 */
const UNTOLD = [
  '$schema',
  'minLength',
  'maxLength',
  'minimum',
  'exclusiveMinimum',
  'pattern',
  'propertyNames',
];

export function describedSchema(schema: z.ZodType): StandardSchemaWithJSON<unknown, unknown> {
  const jsonSchema = (io: 'input' | 'output') => () => {
    const described = z.toJSONSchema(schema, { io, override: ({ jsonSchema: part }) => shorten(part) });
    delete described.$schema;
    return described;
  };
  return {
    '~standard': {
      version: 1,
      vendor: 'hearth',
      validate: (value: unknown) => ({ value }),
      jsonSchema: { input: jsonSchema('input'), output: jsonSchema('output') },
    },
  };
}

function shorten(part: Record<string, unknown>): void {
  for (const word of UNTOLD) delete part[word];
  if (part.maximum === Number.MAX_SAFE_INTEGER) delete part.maximum;
}
