import type { Reason } from "../core/client-feed.ts";

/**
 * What carries frames to one client. It calls `drained` after it pushed back, and `gone` once it is let go; what it
 * throws is a connection that is lost.
 */
export interface Wire {
	/** The stream was accepted: write the head. Nothing is flushed before. */
	start(): void;
	/** Characters appended and not flushed. */
	readonly size: number;
	append(frame: string): void;
	/** Hands over what was appended; false when the connection pushes back. */
	flush(): boolean;
	beat(): void;
	/** Ends politely, after what was flushed. */
	finish(reason: Reason): void;
	/** Lets go at once. */
	destroy(): void;
}
