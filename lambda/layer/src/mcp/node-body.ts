/**
 * A body that is read as any stream is, written to a response of node:http. Not by a pipeline of node's: to one, a response
 * on HTTP/2 that was broken off has finished, and one that waits behind another on its connection never ends.
 */
import type { ServerResponse } from "node:http";
import { whenOver } from "../core/response-end.ts";

/** Resolves when the response is over, whoever ended it; rejects when the body breaks, or what takes it. */
export async function writeBody(body: ReadableStream<Uint8Array>, res: ServerResponse): Promise<void> {
	const reader = body.getReader();
	const over = Promise.withResolvers<void>();
	over.promise.catch(() => {}); // what breaks after the body did is no news
	let isOver = false;
	let wake = () => {};
	const stop = () => {
		isOver = true;
		// Whoever makes the body hears that nobody takes it; what is being read is told that this is all.
		reader.cancel().catch(() => {});
		over.resolve();
		wake();
	};
	whenOver(res, stop);
	res.on("drain", () => wake());
	res.on("error", (error) => {
		over.reject(error);
		stop();
	});
	try {
		for (;;) {
			const { done, value } = await reader.read();
			if (isOver) break;
			if (done) {
				res.end();
				break;
			}
			if (res.write(value) || isOver) continue;
			await new Promise<void>((resolve) => {
				wake = resolve;
			});
		}
	} catch (error) {
		stop();
		throw error;
	}
	await over.promise;
}
