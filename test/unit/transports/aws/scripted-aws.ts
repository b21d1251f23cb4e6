/** DynamoDB, SQS and SNS by HTTP on loopback, as far as publishing needs them: a test scripts what each call answers. */
import { createHash } from "node:crypto";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface AwsCall {
	/** `GetQueueUrl`, `SendMessage`, `Publish`, `Query`, `PutItem`. */
	readonly action: string;
	/** As the signature's scope says. */
	readonly region: string;
	readonly body: Record<string, unknown>;
}

export type Answer = { readonly status: number; readonly code: string } | "cut" | "silent" | undefined;

export interface ScriptedAws {
	readonly endpoint: string;
	readonly calls: AwsCall[];
	/** Items of the sessions table. */
	readonly homes: { session: string; region: string; counter: number; expiresAt: number }[];
	/** What other actions answer, by their name. */
	readonly facts: Map<string, unknown>;
	/** Anything but `undefined` replaces the usual answer. */
	answer: ((call: AwsCall) => Answer) | undefined;
	named(action: string): AwsCall[];
	close(): Promise<void>;
}

const text = (value: unknown) => ({ S: String(value) });
const number = (value: unknown) => ({ N: String(value) });

export async function createScriptedAws(): Promise<ScriptedAws> {
	const usual = (call: AwsCall): string => {
		const fact = api.facts.get(call.action);
		if (fact !== undefined) return JSON.stringify(fact);
		switch (call.action) {
			case "GetQueueUrl":
				return JSON.stringify({ QueueUrl: `${api.endpoint}/000000000000/${call.body.QueueName}` });
			case "SendMessage": {
				const md5 = createHash("md5").update(String(call.body.MessageBody)).digest("hex");
				return JSON.stringify({ MessageId: "m", MD5OfMessageBody: md5, SequenceNumber: "1" });
			}
			case "Query": {
				const key = (call.body.ExpressionAttributeValues as Record<string, { S: string }>)[":key"]?.S;
				const items = api.homes.filter(({ session }) => session === key);
				return JSON.stringify({
					Items: items.map((item) => ({
						session: text(item.session),
						region: text(item.region),
						counter: number(item.counter),
						expiresAt: number(item.expiresAt),
					})),
				});
			}
			case "PutItem":
				return "{}";
			default:
				return `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>`;
		}
	};
	const reply = (response: ServerResponse, call: AwsCall) => {
		const answer = api.answer?.(call);
		if (answer === "silent") return;
		if (answer === "cut") return response.destroy();
		const isXml = call.action === "Publish";
		response.setHeader("content-type", isXml ? "text/xml" : "application/x-amz-json-1.0");
		if (answer === undefined) return response.end(usual(call));
		response.statusCode = answer.status;
		if (!isXml) return response.end(JSON.stringify({ __type: answer.code, message: "scripted" }));
		const code = `<Code>${answer.code}</Code><Message>scripted</Message>`;
		return response.end(
			`<ErrorResponse><Error><Type>Sender</Type>${code}</Error><RequestId>r</RequestId></ErrorResponse>`,
		);
	};
	const server = createServer(async (request, response) => {
		let body = "";
		for await (const chunk of request) body += chunk;
		const target = request.headers["x-amz-target"];
		const fields = typeof target === "string" ? JSON.parse(body) : Object.fromEntries(new URLSearchParams(body));
		const action = typeof target === "string" ? (target.split(".")[1] ?? "") : String(fields.Action);
		const region = /Credential=[^/]+\/\d+\/([^/]+)\//.exec(request.headers.authorization ?? "")?.[1] ?? "";
		const call = { action, region, body: fields };
		api.calls.push(call);
		reply(response, call);
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const api: ScriptedAws = {
		endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
		calls: [],
		homes: [],
		facts: new Map(),
		answer: undefined,
		named: (action) => api.calls.filter((call) => call.action === action),
		close: () =>
			new Promise((resolve) => {
				server.close(() => resolve());
				server.closeAllConnections();
			}),
	};
	return api;
}
