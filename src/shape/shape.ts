/**
 * What a JSON value has to look like to be one of ours: for the files that every start reads, where a schema
 * library costs more than the start. Requests of callers are the contract's, which has a real one.
 *
 * A shape reads a value into a typed one, or says which field is wrong and how. Values are data from disk and may
 * be anything; a shape never throws and never runs what it reads.
 */

/** The outcome of reading: `field` is the path with dots, empty for the value itself. */
export type Reading<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly field: string; readonly problem: string };

type Path = readonly string[];

/** Ends the reading of one value; never leaves this file. */
class Misfit extends Error {
  readonly path: Path;

  constructor(path: Path, problem: string) {
    super(problem);
    this.path = path;
  }
}

type Take<T> = (value: unknown, path: Path) => T;

/** The type that a shape reads. */
export type Shaped<S> = S extends Shape<infer T> ? T : never;

export class Shape<T> {
  readonly #take: Take<T>;

  constructor(take: Take<T>) {
    this.#take = take;
  }

  read(value: unknown): Reading<T> {
    try {
      return { ok: true, value: this.#take(value, []) };
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      return { ok: false, field: error.path.join('.'), problem: error.message };
    }
  }

  /** As part of a greater value. */
  take(value: unknown, path: Path): T {
    return this.#take(value, path);
  }

  /** A further condition; `problem` says what was expected. */
  refine(holds: (value: T) => boolean, problem = 'not as expected'): Shape<T> {
    return new Shape((value, path) => {
      const taken = this.#take(value, path);
      if (!holds(taken)) throw new Misfit(path, problem);
      return taken;
    });
  }

  nullable(): Shape<T | null> {
    return new Shape((value, path) => (value === null ? null : this.#take(value, path)));
  }

  optional(): Shape<T | undefined> {
    return new Shape((value, path) => (value === undefined ? undefined : this.#take(value, path)));
  }

  /** What a missing value is read as; it is read like any other, so that its own gaps are filled too. */
  default(filling: unknown): Shape<T> {
    return new Shape((value, path) => this.#take(value === undefined ? filling : value, path));
  }
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}

function expected(what: string, value: unknown, path: Path): Misfit {
  return new Misfit(path, `expected ${what}, got ${kindOf(value)}`);
}

export interface TextLimits {
  /** In UTF-16 units, both inclusive. */
  readonly least?: number;
  readonly most?: number;
  readonly pattern?: RegExp;
  /** Said of a text that the pattern refuses. */
  readonly problem?: string;
}

export function text({
  least = 0,
  most = Number.MAX_SAFE_INTEGER,
  pattern,
  problem,
}: TextLimits = {}): Shape<string> {
  return new Shape((value, path) => {
    if (typeof value !== 'string') throw expected('a text', value, path);
    if (value.length < least) throw new Misfit(path, `shorter than ${least} characters`);
    if (value.length > most) throw new Misfit(path, `longer than ${most} characters`);
    if (pattern?.test(value) === false) throw new Misfit(path, problem ?? 'not of the expected form');
    return value;
  });
}

/** A whole number that a double holds exactly; the limits are inclusive. */
export function whole(least = Number.MIN_SAFE_INTEGER, most = Number.MAX_SAFE_INTEGER): Shape<number> {
  return new Shape((value, path) => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
      throw typeof value === 'number'
        ? new Misfit(path, 'not a whole number')
        : expected('a whole number', value, path);
    }
    if (value < least || value > most) throw new Misfit(path, `not between ${least} and ${most}`);
    return value;
  });
}

export function finite(): Shape<number> {
  return new Shape((value, path) => {
    if (typeof value !== 'number' || !Number.isFinite(value)) throw expected('a number', value, path);
    return value;
  });
}

export function truth(): Shape<boolean> {
  return new Shape((value, path) => {
    if (typeof value !== 'boolean') throw expected('true or false', value, path);
    return value;
  });
}

/** A value that fits one of two shapes; what is said of another is the second's. */
export function eitherOf<A, B>(one: Shape<A>, other: Shape<B>): Shape<A | B> {
  return new Shape<A | B>((value, path) => {
    const reading = one.read(value);
    return reading.ok ? reading.value : other.take(value, path);
  });
}

/** One of these, which `choices` are compared with by identity. */
export function oneOf<const C extends readonly (string | number)[]>(...choices: C): Shape<C[number]> {
  return new Shape<C[number]>((value, path) => {
    const found = choices.find((choice) => choice === value);
    if (found !== undefined) return found;
    throw new Misfit(path, `expected ${choices.map((choice) => JSON.stringify(choice)).join(' or ')}`);
  });
}

export function listOf<T>(item: Shape<T>, { least = 0, most = 1_000_000 } = {}): Shape<T[]> {
  return new Shape((value, path) => {
    if (!Array.isArray(value)) throw expected('a list', value, path);
    if (value.length < least) throw new Misfit(path, `fewer than ${least} entries`);
    if (value.length > most) throw new Misfit(path, `more than ${most} entries`);
    return value.map((one, index) => item.take(one, [...path, String(index)]));
  });
}

/** An object that maps any names to values of one shape. */
export function mapOf<T>(item: Shape<T>): Shape<Record<string, T>> {
  return new Shape((value, path) =>
    Object.fromEntries(
      Object.entries(asObject(value, path)).map(([key, one]) => [key, item.take(one, [...path, key])]),
    ),
  );
}

type Fields = Readonly<Record<string, Shape<unknown>>>;
type OptionalNames<F extends Fields> = {
  [Name in keyof F]: undefined extends Shaped<F[Name]> ? Name : never;
}[keyof F];
type ObjectOf<F extends Fields> = { [Name in Exclude<keyof F, OptionalNames<F>>]: Shaped<F[Name]> } & {
  [Name in OptionalNames<F>]?: Shaped<F[Name]>;
};
/** Flattened, for readable types. */
type Plain<T> = { [Name in keyof T]: T[Name] } & {};

/** An object with these fields; others are left out, as they are of a newer writer. */
export function objectOf<F extends Fields>(fields: F): Shape<Plain<ObjectOf<F>>> {
  return new Shape((value, path) => takeFields(fields, asObject(value, path), path));
}

/** An object with these fields and no others, so that a misspelt one is noticed. */
export function exactly<F extends Fields>(fields: F): Shape<Plain<ObjectOf<F>>> {
  return new Shape((value, path) => {
    const object = asObject(value, path);
    const unknown = Object.keys(object).find((key) => !Object.hasOwn(fields, key));
    if (unknown !== undefined)
      throw new Misfit(path, `unknown field ${JSON.stringify(unknown.slice(0, 64))}`);
    return takeFields(fields, object, path);
  });
}

/** The object of whichever of these shapes has the value's own word in the field `key`. */
export function variantOf<V extends Readonly<Record<string, Shape<unknown>>>>(
  key: string,
  variants: V,
): Shape<Shaped<V[keyof V]>> {
  return new Shape((value, path) => {
    const word = asObject(value, path)[key];
    const variant = typeof word === 'string' && Object.hasOwn(variants, word) ? variants[word] : undefined;
    if (variant === undefined) {
      throw new Misfit(
        [...path, key],
        `expected ${Object.keys(variants)
          .map((name) => JSON.stringify(name))
          .join(' or ')}`,
      );
    }
    return variant.take(value, path) as Shaped<V[keyof V]>;
  });
}

function asObject(value: unknown, path: Path): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw expected('an object', value, path);
  return value as Readonly<Record<string, unknown>>;
}

function takeFields<F extends Fields>(
  fields: F,
  object: Readonly<Record<string, unknown>>,
  path: Path,
): Plain<ObjectOf<F>> {
  const entries = Object.entries(fields).flatMap(([name, shape]) => {
    const taken = shape.take(Object.hasOwn(object, name) ? object[name] : undefined, [...path, name]);
    return taken === undefined ? [] : [[name, taken] as const];
  });
  return Object.fromEntries(entries) as Plain<ObjectOf<F>>;
}
