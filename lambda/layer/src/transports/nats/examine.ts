/**
 * What an operator's check of NATS looks at. Each server is dialled alone, since a start is content with any of them;
 * then the streams are compared as a start compares them, but none is made. Nothing is published but a word to an inbox
 * of its own, by which it is seen whether the servers are one cluster.
 */
import { type Clock, pause } from "../../core/clock.ts";
import { messageOf, some, type Tell } from "../../core/finding.ts";
import { onAbort } from "../../core/on-abort.ts";
import { loadNatsClient, type NatsConnection } from "./client.ts";
import { dial, watch } from "./dial.ts";
import { examineStreams } from "./examine-streams.ts";
import { type NatsOptions, type NatsSettings, resolveNatsOptions } from "./options.ts";
import { checkServer } from "./server.ts";
import { createSubjects } from "./subjects.ts";

/** Interest in a subject reaches the other servers of a cluster in far less. */
const HEAR_MS = 2_000;
const HEAR_STEP_MS = 50;
const LOGIN = /authorization|authentication|permission/i;

interface Reached {
	readonly server: string;
	readonly nc: NatsConnection;
	readonly ms: number;
}

interface Place {
	readonly options: NatsOptions;
	readonly settings: NatsSettings;
	readonly clock: Clock;
	readonly signal: AbortSignal;
}

/** Says of each server whether it answers. */
async function reach({ options, settings, clock, signal }: Place, tell: Tell): Promise<Reached[]> {
	const tries = settings.servers.map(async (server) => {
		const from = clock.monotonic();
		try {
			const nc = await dial(options, { ...settings, servers: [server] }, clock, "mcp-fanout doctor", signal);
			return { server, nc, ms: Math.round(clock.monotonic() - from) };
		} catch (error) {
			return messageOf(error);
		}
	});
	const all = await Promise.all(tries);
	const reached = all.filter((one) => typeof one !== "string");
	for (const one of all) {
		if (typeof one !== "string") {
			const { version = "?", server_name: name = "?", cluster } = one.nc.info ?? {};
			const where = cluster === undefined ? "" : ` of cluster ${cluster}`;
			tell("ok", `${one.server}: logged in after ${one.ms} ms; nats-server ${version} ${name}${where}`);
			continue;
		}
		const todo = LOGIN.test(one)
			? "check user and password, token, nkey or creds, and what this user may do"
			: "is it running, and does this machine reach that address?";
		// Any server that answers will do.
		tell(reached.length > 0 ? "warn" : "fail", one, todo);
	}
	return reached;
}

/** The servers that do not hear what is said to the first; none where this user may not say it. */
async function deafServers(
	reached: readonly Reached[],
	{ settings, clock, signal }: Place,
	refused: Set<string>,
): Promise<string[]> {
	const [first, ...others] = reached;
	if (first === undefined || others.length === 0) return [];
	const subject = loadNatsClient().createInbox(settings.inboxPrefix);
	const deaf = new Set(others);
	for (const other of others) {
		const callback = (error: Error | null) => void (error === null && deaf.delete(other));
		other.nc.subscribe(subject, { callback });
	}
	await Promise.all(others.map(({ nc }) => nc.flush()));
	for (let waited = 0; deaf.size > 0 && waited < HEAR_MS && !signal.aborted; waited += HEAR_STEP_MS) {
		first.nc.publish(subject);
		await first.nc.flush();
		await pause(clock, HEAR_STEP_MS, signal, true);
	}
	// A server of a fleet need not say it.
	const denials = [...refused].filter((message) => message.includes(subject));
	for (const denial of denials) refused.delete(denial);
	return denials.length > 0 ? [] : [...deaf].map(({ server }) => server);
}

async function look(reached: readonly Reached[], place: Place, refused: Set<string>, tell: Tell): Promise<void> {
	const { settings } = place;
	for (const { server, nc } of reached) {
		try {
			checkServer(nc, settings);
		} catch (error) {
			tell("fail", `${server}: ${messageOf(error)}`, "upgrade that server, or change the setting that is named");
		}
	}
	const deaf = await deafServers(reached, place, refused);
	if (deaf.length > 0) {
		const found = `${some(deaf)} do not hear what is published at ${reached[0]?.server}`;
		tell("fail", found, "name servers of one cluster, or join them by routes");
	}
	const [{ nc }] = reached as [Reached];
	// What a start follows first: a user that may not is told so.
	nc.subscribe(createSubjects(settings.prefix, settings.partitions).liveEpochs, { callback() {} });
	await nc.flush();
	if (settings.jetstream) await examineStreams(nc, settings, place.clock, tell);
	else tell("ok", "core NATS without a log: nothing is replayed, and what nobody hears at that moment is gone");
}

export async function examineNats(
	{ connection: _given, ...options }: NatsOptions,
	{ clock }: { readonly clock: Clock },
	tell: Tell,
	signal: AbortSignal,
): Promise<void> {
	const place = { options, settings: resolveNatsOptions(options), clock, signal };
	// Loaded before anything is timed.
	loadNatsClient();
	const reached = await reach(place, tell);
	const close = () => Promise.allSettled(reached.map(({ nc }) => nc.close()));
	const [first] = reached;
	if (first === undefined || signal.aborted) return void (await close());
	// A server that hangs holds up what waits for it: no socket is to outlive this.
	const forget = onAbort(signal, close);
	const refused = new Set<string>();
	const failed = ({ message }: Error) => void refused.add(message);
	const watching = watch(first.nc, { connected() {}, disconnected() {}, closed() {}, failed });
	try {
		await look(reached, place, refused, tell);
		if (refused.size > 0) tell("fail", some([...refused], 3), "allow this user what it is refused");
	} finally {
		watching.stop();
		watching.done.catch(() => {});
		forget();
		await close();
	}
}
