/** A message type: its number on the wire, its name and its fields. */
import { HearthError } from '../errors/index.js';
import { decodePayload, encodePayload, type Field } from './wire.js';

export interface Message<T> {
  readonly type: number;
  readonly name: string;
  readonly field: Field<T>;
}

export type MessageValue<M> = M extends Message<infer T> ? T : never;

export function message<T>(type: number, name: string, field: Field<T>): Message<T> {
  return { type, name, field };
}

export function encodeMessage<T>(type: Message<T>, value: T): Uint8Array {
  return encodePayload(type.field, value);
}

/** Throws `AGENT_PROTOCOL_INVALID`, naming the message. */
export function decodeMessage<T>(type: Message<T>, payload: Uint8Array): T {
  return decodeReply(type.name, type.field, payload);
}

/** Decodes the payload of an OK. Throws `AGENT_PROTOCOL_INVALID`, naming the request. */
export function decodeReply<T>(request: string, field: Field<T>, payload: Uint8Array): T {
  try {
    return decodePayload(field, payload);
  } catch (error) {
    if (!HearthError.is(error)) throw error;
    throw new HearthError(error.code, `${request}: ${error.message}`, {
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      details: { ...error.details, message: request },
      cause: error,
    });
  }
}
