/** One message over one transport, to a channel that nobody else uses: whether it is heard, and after how long. */
import { randomUUID } from "node:crypto";
import type { Fanout, FanoutOptions } from "mcp-fanout";
import type { Finding } from "mcp-fanout/config";
import { PrintingSocket } from "./printing-socket.ts";
import { alone, dial, type Name } from "./whom.ts";

/** A cell's functions may have to be started first. */
const HEAR_MS = 15_000;
const MESSAGE = { method: "notifications/message", params: { level: "debug", data: "fanout doctor" } };

/** True when it came in time. */
async function inTime(heard: Promise<void>, signal: AbortSignal): Promise<boolean> {
	const end = AbortSignal.any([signal, AbortSignal.timeout(HEAR_MS)]);
	const ended = new Promise<boolean>((resolve) => {
		if (end.aborted) resolve(false);
		end.addEventListener("abort", () => resolve(false), { once: true });
	});
	return Promise.race([heard.then(() => true), ended]);
}

async function hear(fanout: Fanout, signal: AbortSignal): Promise<Finding> {
	const topic = `fanout-doctor-${randomUUID()}`;
	const { promise: heard, resolve } = Promise.withResolvers<void>();
	const socket = new PrintingSocket((frame) => {
		if ((JSON.parse(frame) as { message?: unknown }).message !== undefined) resolve();
	});
	const stream = fanout.websocket(socket, { topics: [topic] });
	await stream.opened;
	const from = performance.now();
	const after = () => `${(performance.now() - from).toFixed(1)} ms`;
	const { accepted } = await fanout.to({ topic }).send(MESSAGE);
	const said = accepted.map(({ reach, durability }) => `${reach}, ${durability}`).join("; ");
	const told = `accepted after ${after()} (${said})`;
	if (await inTime(heard, signal)) return { state: "ok", found: `round trip: ${told}, heard after ${after()}` };
	return {
		state: "fail",
		found: `round trip: ${told}, and not heard within ${HEAR_MS} ms`,
		todo: "may this user subscribe, and does the broker hand on what is published?",
	};
}

export async function roundTrip(options: FanoutOptions, name: Name, signal: AbortSignal): Promise<Finding> {
	try {
		const more = { startup: "fail", follow: true, reload: { watch: false }, outbox: { maxEnvelopes: 0 } } as const;
		const fanout = await dial({ ...alone(options, name), ...more }, signal);
		try {
			return await hear(fanout, signal);
		} finally {
			await fanout.close();
		}
	} catch (error) {
		const causes = (error as { causes?: readonly unknown[] }).causes ?? [];
		const lines = [error, ...causes].map((one) => (one instanceof Error ? one.message : String(one)));
		return { state: "fail", found: `round trip: ${[...new Set(lines)].join("; ")}` };
	}
}
