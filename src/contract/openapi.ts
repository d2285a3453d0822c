/** The contract as an OpenAPI 3.1 document. Source: OpenAPI Specification 3.1.1; JSON Schema 2020-12. */
import { z } from 'zod';
import { ERROR_CODES, ERROR_KINDS } from '../errors/index.js';
import type { Operation } from './operation.js';
import { OPERATIONS, PROCESS_OPERATIONS } from './operations.js';
import { errorSchema, sandboxOutput } from './schemas.js';
import { DOWNLOAD_OPERATIONS, UPLOAD_OPERATIONS } from './stream-operations.js';
import { ERROR_TRAILER, HEAD_HEADER, INPUT_HEADER } from './stream-wire.js';

type Json = Readonly<Record<string, unknown>>;

const OPENAPI_VERSION = '3.1.0';
const ERROR_RESPONSE = { $ref: '#/components/responses/Error' };

const DESCRIPTION = `Everything that hearth does, on the unix socket of the user's daemon, or on TCP with a token.

Every operation is \`POST /v1/<operation>\` with a JSON object. It answers \`{"result": …}\`, or \`{"error": …}\` with the status of the error's kind. Operations that tell progress, or have output, give it while it comes to a client that accepts \`text/event-stream\` (events \`progress\`, \`stdout\`, \`stderr\`, then \`result\` or \`error\`) or \`application/x-ndjson\` (one JSON object a line). They end when their client goes away.`;

/** @param version Of hearth. */
export function openApiDocument(version: string): Json {
  const schemas = new Schemas();
  const paths: Record<string, Json> = {};
  for (const [name, row] of Object.entries<Operation>(OPERATIONS)) {
    paths[`/v1/${name}`] = { post: answered(name, row, schemas) };
  }
  for (const [name, { doc, input }] of Object.entries(PROCESS_OPERATIONS)) {
    paths[`/v1/${name}`] = { post: conversation(name, doc, input, schemas) };
  }
  for (const [name, row] of Object.entries(DOWNLOAD_OPERATIONS)) {
    paths[`/v1/${name}`] = { post: downloaded(name, row, schemas) };
  }
  for (const [name, row] of Object.entries(UPLOAD_OPERATIONS)) {
    paths[`/v1/${name}`] = { post: uploaded(name, row, schemas) };
  }
  paths['/healthz'] = { get: look('health', 'Whether the daemon answers', health()) };
  paths['/readyz'] = { get: look('ready', 'Whether the daemon takes work', health()) };
  paths['/metrics'] = { get: look('metrics', 'Figures, in the Prometheus text format', text()) };
  paths['/v1/openapi.json'] = { get: look('openapi', 'This document', json({ type: 'object' })) };
  return {
    openapi: OPENAPI_VERSION,
    info: {
      title: 'hearth',
      version,
      description: DESCRIPTION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [
      { url: 'http://localhost', description: 'The unix socket daemon.sock, or hearth serve --listen' },
    ],
    security: [{ token: [] }, {}],
    tags: [...new Set(Object.keys(paths).map(tagOf))].sort().map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'Needed on TCP; the unix socket needs none.' },
      },
      responses: { Error: { description: statuses(), content: json(envelope('error', schemas.error())) } },
      schemas: schemas.components(),
    },
  };
}

function answered(
  name: string,
  { doc, input, output, progress, streams }: Operation,
  schemas: Schemas,
): Json {
  const result = schemas.of(output, 'output');
  const streamed = progress === true || streams === true;
  return {
    operationId: name,
    tags: [tagOf(name)],
    summary: doc,
    ...(streamed
      ? { description: `Gives ${gives(progress, streams)} while it works; ends when its client goes away.` }
      : {}),
    requestBody: { required: true, content: json(schemas.of(input, 'input')) },
    responses: {
      200: {
        description: 'Done',
        content: {
          ...json(envelope('result', result)),
          ...(streamed
            ? {
                'text/event-stream': { schema: { type: 'string' } },
                'application/x-ndjson': { schema: { type: 'string' } },
              }
            : {}),
        },
      },
      default: ERROR_RESPONSE,
    },
  };
}

function gives(progress: boolean | undefined, streams: boolean | undefined): string {
  return [...(progress === true ? ['progress'] : []), ...(streams === true ? ['output'] : [])].join(' and ');
}

function conversation(name: string, doc: string, input: z.ZodType, schemas: Schemas): Json {
  return {
    operationId: name,
    tags: [tagOf(name)],
    summary: doc,
    description:
      'Send `connection: Upgrade` and `upgrade: hearth-process`, and no body. Frames of a type (1 byte), a length (4 bytes, big-endian) and a payload follow; the first one, of type 1, is this request as JSON. docs/http-api.md has the others.',
    requestBody: { content: json(schemas.of(input, 'input')) },
    responses: { 101: { description: 'The conversation begins' }, default: ERROR_RESPONSE },
  };
}

interface DownloadRow {
  readonly doc: string;
  readonly input: z.ZodType;
  readonly head: z.ZodType;
  readonly mediaType: string;
}

interface UploadRow {
  readonly doc: string;
  readonly input: z.ZodType;
  readonly output: z.ZodType;
  readonly mediaType: string;
}

function downloaded(name: string, { doc, input, head, mediaType }: DownloadRow, schemas: Schemas): Json {
  return {
    operationId: name,
    tags: [tagOf(name)],
    summary: doc,
    description: `A download that fails midway breaks off; to a client that sends \`te: trailers\` the trailer \`${ERROR_TRAILER}\` says why.`,
    parameters: [inputHeader(input, schemas)],
    responses: {
      200: {
        description: 'The bytes, as fast as they are taken',
        headers: {
          [HEAD_HEADER]: {
            description: 'What is known before the first byte, as JSON',
            required: true,
            content: json(schemas.of(head, 'output')),
          },
        },
        content: { [mediaType]: {} },
      },
      default: ERROR_RESPONSE,
    },
  };
}

function uploaded(name: string, { doc, input, output, mediaType }: UploadRow, schemas: Schemas): Json {
  return {
    operationId: name,
    tags: [tagOf(name)],
    summary: doc,
    parameters: [inputHeader(input, schemas)],
    requestBody: { required: true, content: { [mediaType]: {} } },
    responses: {
      200: { description: 'Done', content: json(envelope('result', schemas.of(output, 'output'))) },
      default: ERROR_RESPONSE,
    },
  };
}

function inputHeader(input: z.ZodType, schemas: Schemas): Json {
  return {
    name: INPUT_HEADER,
    in: 'header',
    required: true,
    description: 'The input as JSON, in ASCII: other characters as \\u escapes',
    content: json(schemas.of(input, 'input')),
  };
}

function look(operationId: string, summary: string, content: Json): Json {
  return {
    operationId,
    tags: ['daemon'],
    summary,
    responses: { 200: { description: 'Here it is', content } },
  };
}

function health(): Json {
  return json({
    type: 'object',
    required: ['status', 'version', 'sandboxes'],
    properties: {
      status: { const: 'ok' },
      version: { type: 'string' },
      sandboxes: { type: 'integer', minimum: 0 },
    },
  });
}

function text(): Json {
  return { 'text/plain': { schema: { type: 'string' } } };
}

function json(schema: Json): Json {
  return { 'application/json': { schema } };
}

function envelope(field: string, schema: Json): Json {
  return { type: 'object', required: [field], properties: { [field]: schema } };
}

function tagOf(name: string): string {
  const word = name.replace(/^\/v1\//, '').split('.')[0] ?? '';
  return name.startsWith('/') && !name.startsWith('/v1/') ? 'daemon' : word === 'openapi' ? 'daemon' : word;
}

function statuses(): string {
  const kinds = Object.entries(ERROR_KINDS).map(([kind, { httpStatus }]) => `${httpStatus} ${kind}`);
  return `By the kind of the error: ${kinds.join(', ')}; 401 without a valid token.`;
}

/** JSON Schemas of the contract's rows; what has a name of its own is referred to by it. */
class Schemas {
  readonly #named = z.registry<{ id: string }>();
  readonly #components: Record<string, Json> = {};

  constructor() {
    this.#named.add(sandboxOutput, { id: 'Sandbox' });
    this.#named.add(errorSchema, { id: 'Failure' });
  }

  of(schema: z.ZodType, io: 'input' | 'output'): Json {
    const document = z.toJSONSchema(schema, { io, metadata: this.#named, target: 'draft-2020-12' });
    const { $schema: _dialect, $defs = {}, ...rest } = referring(document) as Record<string, Json>;
    for (const [name, definition] of Object.entries($defs)) {
      const { id: _id, ...body } = definition as Record<string, unknown>;
      this.#components[name] = body;
    }
    return rest;
  }

  error(): Json {
    this.#components.Error = {
      type: 'object',
      required: ['code', 'kind', 'message', 'details'],
      properties: {
        code: { type: 'string', enum: Object.keys(ERROR_CODES), description: 'What happened; never renamed' },
        kind: {
          type: 'string',
          enum: Object.keys(ERROR_KINDS),
          description: 'What a caller can do about it',
        },
        message: { type: 'string', description: 'For people; may change' },
        hint: { type: 'string', description: 'What to do next' },
        details: { type: 'object', description: 'The facts of the message as fields' },
      },
    };
    return { $ref: '#/components/schemas/Error' };
  }

  components(): Json {
    return Object.fromEntries(Object.entries(this.#components).sort(([a], [b]) => a.localeCompare(b)));
  }
}

/** The same with the references of this document. */
function referring(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(referring);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) =>
      key === '$ref' && typeof inner === 'string'
        ? [key, inner.replace(/^#\/\$defs\//, '#/components/schemas/')]
        : [key, referring(inner)],
    ),
  );
}
