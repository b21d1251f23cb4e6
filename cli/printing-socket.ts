/** The end of a client stream that is in this process. */
import { EventEmitter } from "node:events";

/** A socket whose peer is the terminal: it takes everything, and answers every ping. */
export class PrintingSocket extends EventEmitter {
	readyState = 1;
	readonly bufferedAmount = 0;
	readonly #print: (frame: string) => void;

	constructor(print: (frame: string) => void) {
		super();
		this.#print = print;
	}

	send(frame: string, done?: () => void): void {
		this.#print(frame);
		done?.();
	}

	ping(): void {
		this.emit("pong");
	}

	close(): void {
		this.terminate();
	}

	terminate(): void {
		this.readyState = 3;
		this.emit("close");
	}
}
