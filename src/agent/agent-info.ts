/** What a guest agent says of itself and its guest in READY; texts are cleaned. */
import { READY_CAPABILITIES, type Ready } from '../protocol/index.js';
import { cleanText } from './errors.js';

export interface AgentInfo {
  readonly agentVersion: string;
  readonly generation: number;
  /** Release of the guest's kernel, `6.1.0-18-cloud-amd64`. */
  readonly kernel: string;
  readonly bootId: string;
  /** Since the guest's kernel started, when it answered. */
  readonly uptimeUs: number;
  /** False for an agent that serves a plain process: its clock, identity and power cannot be set. */
  readonly isGuest: boolean;
  /** Commands run in control groups: their limits hold and out-of-memory kills are told. */
  readonly hasCgroups: boolean;
}

export function agentInfoOf(ready: Ready): AgentInfo {
  return {
    agentVersion: cleanText(ready.agentVersion),
    generation: ready.generation,
    kernel: cleanText(ready.kernel),
    bootId: cleanText(ready.bootId),
    uptimeUs: ready.uptimeUs,
    isGuest: (ready.capabilities & READY_CAPABILITIES.guest) !== 0,
    hasCgroups: (ready.capabilities & READY_CAPABILITIES.cgroups) !== 0,
  };
}
