/** One thing a guest asked the proxy for, from its request to its last event. */
import type { AllowedReason, DenialReason, EgressEvent, FailureReason } from './egress-event.js';

export type Outcome =
  | { readonly decision: 'allowed'; readonly reason: AllowedReason }
  | { readonly decision: 'denied'; readonly reason: DenialReason }
  | { readonly decision: 'failed'; readonly reason: FailureReason };

/** Filled in by whoever serves the request; {@link Exchange.report} reads it. */
export interface Exchange {
  host: string;
  port: number;
  address: string | undefined;
  rule: string | undefined;
  bytesUp: number;
  bytesDown: number;
  /** Sends one event. After one whose reason is not `open`, further calls do nothing. */
  report(outcome: Outcome): void;
}

/** @param onReportFailed Called when `onDecision` has thrown: what cannot be recorded must not go on. */
export type BeginExchange = (kind: EgressEvent['kind'], onReportFailed: () => void) => Exchange;

export function createExchanges(onDecision: (event: EgressEvent) => void): BeginExchange {
  let lastId = 0;
  return (kind, onReportFailed) => {
    lastId += 1;
    const id = lastId;
    const startedAt = performance.now();
    let isOver = false;
    return {
      host: '',
      port: 0,
      address: undefined,
      rule: undefined,
      bytesUp: 0,
      bytesDown: 0,
      report(outcome) {
        if (isOver) return;
        isOver = outcome.reason !== 'open';
        const { host, port, address, rule, bytesUp, bytesDown } = this;
        const event: EgressEvent = {
          at: new Date().toISOString(),
          id,
          kind,
          host,
          port,
          ...(address === undefined ? {} : { address }),
          ...(rule === undefined ? {} : { rule }),
          ...outcome,
          bytesUp,
          bytesDown,
          durationMs: Math.round(performance.now() - startedAt),
        };
        try {
          onDecision(event);
        } catch {
          onReportFailed();
        }
      },
    };
  };
}
