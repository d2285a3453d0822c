/** What an operation is: the form of a row of the contract. */
import type { z } from 'zod';

export interface Operation<I extends z.ZodType = z.ZodType, O extends z.ZodType = z.ZodType> {
  /** One line for people. */
  readonly doc: string;
  readonly input: I;
  readonly output: O;
  /** Tells phases while it works, and ends when its caller goes away. */
  readonly progress?: true;
  /** Runs a command whose output can be had while it comes, and ends when its caller goes away. */
  readonly streams?: true;
}

/** A row, with its schemas' own types. */
export function operation<I extends z.ZodType, O extends z.ZodType>(
  definition: Operation<I, O>,
): Operation<I, O> {
  return definition;
}
