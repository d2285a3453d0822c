/** What is written down of a secret, and shown: never its value. */
import { z } from 'zod';
import { SECRET_SOURCES } from './secret.js';

export const secretRecordSchema = z.object({ name: z.string(), source: z.enum(SECRET_SOURCES) });
export type SecretRecord = z.infer<typeof secretRecordSchema>;
