/**
 * The port between publishers and what stands before a target and may be shut: a circuit breaker. A publisher offers
 * nothing while it is shut, and reports what became of each offer; a gate decides on that alone.
 */
export type GateState = "closed" | "open" | "half-open";
/** `neutral`: refused for what the caller asked; it says nothing about the target. */
export type Verdict = "success" | "failure" | "neutral";

export interface Gate {
	readonly state: GateState;
	/** Whether an offer may be made now. A half-open gate admits one at a time. */
	readonly admits: boolean;
	/** Makes an offer; only while the gate admits one. What it answers counts. */
	offer(attempt: () => Promise<Verdict>): Promise<void>;
	/** Called with each change, and when a shut gate begins to admit a probe. */
	onChange(listener: (state: GateState) => void): void;
	/** Idempotent; no timer stays. */
	close(): void;
}
