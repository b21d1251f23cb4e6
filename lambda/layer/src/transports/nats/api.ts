/**
 * Questions to JetStream that only a stream's leader answers, so what they say is authoritative. Each has a deadline;
 * nobody there, no answer in time and a refusal are FanoutErrors.
 */
import { FanoutError } from "../../core/errors.ts";
import type { Msg } from "./client.ts";
import { type ApiError, ERR, isRefusal, NOBODY, refused, type Silence, unanswered } from "./failure.ts";
import { rawHeaders } from "./headers.ts";
import type { Inbox } from "./inbox.ts";

export interface StreamConfig {
	readonly name: string;
	readonly [field: string]: unknown;
}

export interface StreamInfo {
	readonly config: StreamConfig;
	readonly state: {
		readonly messages: number;
		readonly first_seq: number;
		readonly first_ts: string;
		readonly last_seq: number;
	};
	readonly ts: string;
	/** Absent where the server is alone. */
	readonly cluster?: {
		readonly leader?: string;
		readonly replicas?: readonly { readonly name: string; readonly current: boolean; readonly offline?: boolean }[];
	};
}

export interface Stored {
	readonly seq: number;
	readonly subject: string;
	readonly data?: string;
	readonly time: string;
}

export interface Api {
	/** Undefined when there is no such stream. */
	info(stream: string): Promise<StreamInfo | undefined>;
	create(config: StreamConfig): Promise<void>;
	/** The newest message of a subject. */
	last(stream: string, subject: string): Promise<Stored | undefined>;
	/** Publishes only if `lastSeq` is still the newest of the subject; undefined when it is not. */
	swap(subject: string, text: string, lastSeq: number): Promise<number | undefined>;
	readonly prefix: string;
}

export interface Deadlines {
	readonly timeoutMs: number;
	/** A replicated stream elects its leader before it is there. */
	readonly createTimeoutMs: number;
}

export function createApi(inbox: Inbox, domain: string | undefined, deadlines: Deadlines): Api {
	const prefix = domain === undefined ? "$JS.API" : `$JS.${domain}.API`;

	/** Not by the client's own request: it makes an error for each, before anything has failed. */
	function ask<T>(
		subject: string,
		body: object | string,
		what: string,
		headers?: string,
		timeoutMs = deadlines.timeoutMs,
	): Promise<T> {
		return new Promise((resolve, reject) => {
			const message = (msg: Msg): boolean => {
				try {
					resolve(answerOf<T>(msg, what));
				} catch (error) {
					reject(error);
				}
				return true;
			};
			const failed = (reason: Silence, cause?: unknown) => reject(unanswered(what, reason, timeoutMs, cause));
			const payload = typeof body === "string" ? body : JSON.stringify(body);
			inbox.ask(
				{ message, failed },
				timeoutMs,
				subject,
				payload,
				headers === undefined ? headers : rawHeaders(headers),
			);
		});
	}

	async function unless<T>(errCode: number, work: Promise<T>): Promise<T | undefined> {
		try {
			return await work;
		} catch (error) {
			if (isRefusal(error, errCode)) return undefined;
			throw error;
		}
	}

	async function get(stream: string, body: object): Promise<Stored | undefined> {
		const asked = ask<{ message: Stored }>(`${prefix}.STREAM.MSG.GET.${stream}`, body, `a message of ${stream}`);
		return (await unless(ERR.noMessage, asked))?.message;
	}

	return {
		prefix,
		info: (stream) =>
			unless(ERR.streamNotFound, ask<StreamInfo>(`${prefix}.STREAM.INFO.${stream}`, "", `the state of ${stream}`)),
		async create(config) {
			const what = `the creation of ${config.name}`;
			await ask(`${prefix}.STREAM.CREATE.${config.name}`, config, what, undefined, deadlines.createTimeoutMs);
		},
		last: (stream, subject) => get(stream, { last_by_subj: subject }),
		async swap(subject, text, lastSeq) {
			const expected = `Nats-Expected-Last-Subject-Sequence: ${lastSeq}\r\n`;
			const asked = ask<{ seq: number }>(subject, text, "an epoch", expected);
			return (await unless(ERR.wrongLastSequence, asked))?.seq;
		},
	};
}

function answerOf<T>(msg: Msg, what: string): T {
	if (msg.data.length === 0 && msg.headers?.code === NOBODY) throw unanswered(what, "nobody", 0);
	let answer: T & { readonly error?: ApiError };
	try {
		answer = JSON.parse(msg.string());
	} catch (cause) {
		throw new FanoutError("TransportRefused", `${what} got an answer that is no JSON`, { cause });
	}
	if (answer.error !== undefined) throw refused(what, answer.error);
	return answer;
}
