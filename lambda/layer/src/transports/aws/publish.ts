/**
 * Publishing on AWS. A session's envelopes go to its home region's mailbox; those of shared channels to the own
 * region's topic, which every region's relay hears; what processes tell each other to the own region's mailbox, for
 * they share its registry. One envelope a call and in order: a batch call to SQS may fail in its middle, and what came
 * after it would then stand in the lane before what is sent again.
 */
import type { Channel } from "../../core/channel.ts";
import { type Envelope, encodeEnvelope, envelopeBytes } from "../../core/envelope.ts";
import { FanoutError } from "../../core/errors.ts";
import type { Outcome, Reach } from "../../core/transport.ts";
import { sessionKeyOf } from "./cell/forward.ts";
import { type Failure, failureOf } from "./failure.ts";
import type { Home } from "./home.ts";
import type { Mailbox, MailboxMessage } from "./mailbox.ts";
import type { AwsSettings } from "./options.ts";
import { type AwsClients, aws } from "./sdk.ts";

export interface PublisherParts {
	readonly settings: AwsSettings;
	readonly clients: AwsClients;
	readonly home: Home;
	readonly mailbox: Mailbox;
}

export type Publish = (channel: Channel, batch: readonly Envelope[], signal: AbortSignal) => Promise<Outcome[]>;

export function createPublish({ settings, clients, home, mailbox }: PublisherParts): Publish {
	const { region, regions, maxPayloadBytes, topicArn } = settings;
	const everywhere: Reach = regions.length > 1 ? "global" : "region";
	const accepted = (reach: Reach): Outcome => ({ ok: true, duplicate: false, durability: "replicated", reach });

	async function toMailbox(session: string, channel: Channel, envelope: Envelope, signal: AbortSignal) {
		const message = mailOf(channel, envelope);
		let target: string;
		try {
			target = await home.resolveOrClaim(session, signal);
		} catch (error) {
			return { ...failureOf(error, "the look-up of a session's home region"), uncertain: false };
		}
		try {
			await mailbox.send(target, message, signal);
			return accepted(everywhere);
		} catch (error) {
			const failure = failureOf(error, `a send to the mailbox of ${target}`);
			if (target === region || failure.uncertain || !failure.error.retryable) return failure;
			home.forget(session);
		}
		// The home was not reached at all: the own region keeps the envelope, and its deliver function hands it on.
		return toOwnMailbox(message, signal);
	}

	async function toOwnMailbox(message: MailboxMessage, signal: AbortSignal): Promise<Outcome> {
		try {
			await mailbox.send(region, message, signal);
			return accepted("region");
		} catch (error) {
			return failureOf(error, `a send to the mailbox of ${region}`);
		}
	}

	async function toTopic(channel: Channel, envelope: Envelope, abortSignal: AbortSignal): Promise<Outcome> {
		const attribute = (value: string) => ({ DataType: "String", StringValue: value });
		const command = new aws.sns.PublishCommand({
			TopicArn: topicArn,
			Message: encodeEnvelope(envelope),
			MessageAttributes: { channel: attribute(channel.key), kind: attribute(channel.kind) },
		});
		try {
			await clients.sns().send(command, { abortSignal });
			return accepted(everywhere);
		} catch (error) {
			return failureOf(error, `a publish to the topic of ${region}`);
		}
	}

	function offer(channel: Channel, envelope: Envelope, signal: AbortSignal): Promise<Outcome> {
		const bytes = envelopeBytes(envelope);
		if (bytes > maxPayloadBytes) {
			return Promise.resolve(
				refuse(
					new FanoutError("PayloadTooLarge", `an envelope of ${bytes} bytes, at most ${maxPayloadBytes} are accepted`, {
						data: { bytes, maxBytes: maxPayloadBytes },
					}),
				),
			);
		}
		if (channel.kind === "instance") return toOwnMailbox(mailOf(channel, envelope), signal);
		const session = sessionKeyOf(channel.key);
		return session === undefined ? toTopic(channel, envelope, signal) : toMailbox(session, channel, envelope, signal);
	}

	return async (channel, batch, signal) => {
		const outcomes: Outcome[] = [];
		for (const envelope of batch) {
			const outcome = await offer(channel, envelope, signal);
			outcomes.push(outcome);
			if (outcome.ok) continue;
			// The rest was never sent, and must not be before the failed one.
			const unsent = refuse(
				new FanoutError(outcome.error.code, "not sent: an envelope before it failed", {
					cause: outcome.error,
					retryable: outcome.error.retryable,
				}),
			);
			while (outcomes.length < batch.length) outcomes.push(unsent);
			break;
		}
		return outcomes;
	};
}

function mailOf({ key: channelKey }: Channel, envelope: Envelope): MailboxMessage {
	return { id: envelope.id, channelKey, text: encodeEnvelope(envelope) };
}

function refuse(error: FanoutError): Failure {
	return { ok: false, uncertain: false, error };
}
