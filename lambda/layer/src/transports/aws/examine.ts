/**
 * What an operator's check of a cell looks at: each thing that the process needs, asked for as the process would. It
 * opens the WebSocket that a start opens, and writes nothing else.
 */
import { createChannel } from "../../core/channel.ts";
import type { Clock } from "../../core/clock.ts";
import { messageOf, type Tell } from "../../core/finding.ts";
import type { Ids } from "../../core/ids.ts";
import { dial } from "./dial.ts";
import { failureOf } from "./failure.ts";
import { createHome } from "./home.ts";
import { createLog } from "./log.ts";
import { createMailbox } from "./mailbox.ts";
import { checkMailbox } from "./mailbox-check.ts";
import { type AwsOptions, resolveAwsOptions } from "./options.ts";
import { createAwsClients, watchDates } from "./sdk.ts";

/** Beyond it AWS takes no signature. */
const REFUSED_SKEW_MS = 5 * 60_000;
const WRONG_SKEW_MS = 30_000;
const SIGNATURE_SECONDS = 60;
const GOODBYE_MS = 1_000;
const RIGHTS = "does it exist, and does this process's role reach it (FanoutLayer.attach grants it)?";

function tellSkew(skewMs: number | undefined, tell: Tell): void {
	if (skewMs === undefined) {
		tell("warn", "no answer of AWS told its time: this machine's clock is not compared");
		return;
	}
	const seconds = Math.round(skewMs / 1000);
	const found = `this machine's clock is ${Math.abs(seconds)} s ${seconds < 0 ? "ahead of" : "behind"} AWS's`;
	const todo = "let it follow a time server";
	if (Math.abs(skewMs) > REFUSED_SKEW_MS) tell("fail", `${found}: signatures are refused`, todo);
	else if (Math.abs(skewMs) > WRONG_SKEW_MS) tell("warn", found, todo);
	else tell("ok", "this machine's clock is AWS's");
}

export async function examineAws(
	options: AwsOptions,
	{ clock, ids }: { readonly clock: Clock; readonly ids: Ids },
	tell: Tell,
	signal: AbortSignal,
): Promise<void> {
	const settings = resolveAwsOptions(options);
	const { region, regions, endpoint, logTable, sessionsTable, mailboxName, backendApi } = settings;
	const clients = options.clients ?? createAwsClients({ region, endpoint, sendAttempts: 1 });
	const dates = watchDates(clients.sqs(), clock);
	const dynamo = clients.dynamo();
	const log = createLog({
		...{ table: logTable, dynamo, retentionSeconds: settings.retentionSeconds },
		...{ clock, random32: ids.random32 },
	});
	const home = createHome({ table: sessionsTable, dynamo, region, clock });
	const names = { region, name: mailboxName, url: undefined, parameterPrefix: settings.parameterPrefix };
	const mailbox = createMailbox(clients, names);
	// Of nobody: its name is not used twice.
	const channel = createChannel("session", `doctor-${ids.next()}`);

	// The own one's address may be given, and its look-up not allowed: its settings are asked for then, as by a start.
	const looked = regions.filter((one) => one !== region || options.mailbox?.url === undefined);

	/** One question, and how long its answer took. */
	async function check(what: string, isNeeded: boolean, ask: () => Promise<unknown>, todo = RIGHTS): Promise<void> {
		const from = clock.monotonic();
		try {
			await ask();
			tell("ok", `${what} answered after ${Math.round(clock.monotonic() - from)} ms`);
		} catch (error) {
			tell(isNeeded ? "fail" : "warn", messageOf(failureOf(error, what).error), todo);
		}
	}

	async function openSocket(): Promise<void> {
		const address = new URL(await clients.signSocket(`${backendApi}?dial=${ids.random32()}`, SIGNATURE_SECONDS));
		const own = AbortSignal.any([signal, AbortSignal.timeout(settings.connectTimeoutMs)]);
		const dialled = await dial(address, options.WebSocket ?? globalThis.WebSocket, own);
		await dialled.hangUp(AbortSignal.timeout(GOODBYE_MS));
	}

	try {
		await Promise.all([
			...looked.map((one) =>
				check(`the mailbox queue of ${one}${one === region ? " (own)" : ""}`, one === region, () =>
					mailbox.find(one, signal),
				),
			),
			...(options.mailbox === undefined
				? []
				: [
						check("the mailbox's settings", true, () =>
							checkMailbox(clients, mailboxName, options.mailbox ?? {}, signal),
						),
					]),
			check(`the log table ${logTable}`, true, () => log.end(channel.key)),
			check(`the sessions table ${sessionsTable}`, true, () => home.look(channel.key, signal)),
			...(settings.follow ? [check(`the back-end API ${backendApi}`, true, openSocket)] : []),
		]);
		tellSkew(dates.skewMs, tell);
	} finally {
		if (options.clients === undefined) clients.close();
	}
}
