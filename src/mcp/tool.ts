/** What a tool is, and what it is called with. */
import type { ToolAnnotations } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { parseInput, type Service } from '../contract/index.js';
import type { Backend } from './backend.js';
import type { View } from './view.js';

export interface ToolCall {
  readonly view: View;
  readonly backend: Backend;
  /** The operations, through a daemon that answers. */
  readonly service: Service;
  /** Aborts when the client cancels, goes away, or the server ends. */
  readonly signal: AbortSignal;
  /** Tells the client what goes on, when it asked to be told. */
  progress(event: ToolProgress): void;
}

export interface ToolProgress {
  /** One short line: `download debian:12`. */
  readonly message: string;
  readonly doneBytes?: number | undefined;
  readonly totalBytes?: number | undefined;
}

export interface ToolAnswer<T> {
  /** What the output schema describes. */
  readonly structured: T;
  /** The same for a reader: short, and complete enough to go on from. */
  readonly text: string;
}

export interface ToolDefinition<I extends z.ZodObject, O extends z.ZodObject> {
  readonly name: string;
  readonly title: string;
  /** What it does, and when to use it; a few short sentences. */
  readonly description: string | ((view: View) => string);
  readonly annotations: Required<Omit<ToolAnnotations, 'title'>>;
  readonly input: I;
  /** The optional fields that this view does not have. */
  readonly hidden?: (view: View) => ReadonlyArray<keyof z.output<I> & string>;
  /** The fields whose values this view narrows; each takes no more than the one it stands for. */
  readonly narrowed?: (view: View) => Partial<Record<keyof z.output<I> & string, z.ZodType>>;
  readonly output: O;
  readonly run: (input: z.output<I>, call: ToolCall) => Promise<ToolAnswer<z.output<O>>>;
}

export interface Tool {
  readonly name: string;
  readonly title: string;
  readonly annotations: Required<Omit<ToolAnnotations, 'title'>>;
  readonly outputSchema: z.ZodObject;
  description(view: View): string;
  inputSchema(view: View): z.ZodObject;
  /** @throws {HearthError} `REQUEST_INVALID` naming the fields, and what the work throws. */
  execute(args: unknown, call: ToolCall): Promise<ToolAnswer<Record<string, unknown>>>;
}

export function defineTool<I extends z.ZodObject, O extends z.ZodObject>(
  definition: ToolDefinition<I, O>,
): Tool {
  const { name, title, description, annotations, input, output, run } = definition;
  const { hidden = () => [], narrowed = () => ({}) } = definition;
  const inputSchema = (view: View): z.ZodObject => {
    const gone: readonly string[] = hidden(view);
    const narrow: Readonly<Record<string, z.ZodType | undefined>> = narrowed(view);
    const shape = Object.entries(input.shape as Record<string, z.ZodType>)
      .filter(([field]) => !gone.includes(field))
      .map(([field, schema]) => [field, narrow[field] ?? schema]);
    return z.strictObject(Object.fromEntries(shape));
  };
  return {
    name,
    title,
    annotations,
    outputSchema: output,
    description: (view) => (typeof description === 'string' ? description : description(view)),
    inputSchema,
    async execute(args, call) {
      const parsed = parseInput(name, inputSchema(call.view), args ?? {});
      // Hidden fields are optional ones: without them it is still what `run` takes.
      return await run(parsed as z.output<I>, call);
    },
  };
}

export const READ_ONLY = {
  readOnlyHint: true,
  destructiveHint: false,
  idempotentHint: true,
  openWorldHint: false,
} as const;
/** Changes only what is inside a VM that can be thrown away, or makes one. */
export const CHANGES_SANDBOX = {
  readOnlyHint: false,
  destructiveHint: false,
  idempotentHint: false,
  openWorldHint: false,
} as const;
/** Something is gone afterwards. */
export const DESTROYS = {
  readOnlyHint: false,
  destructiveHint: true,
  idempotentHint: true,
  openWorldHint: false,
} as const;
