/** A NATS connection that a test tampers with: it counts what is asked of JetStream, and keeps messages from arriving. */
import type { Msg, NatsConnection, SubscriptionOptions } from "@nats-io/transport-node";

export interface Tampered {
	readonly nc: NatsConnection;
	/** Told of every message that arrives, before the transport is; false keeps it away. */
	arrives: (msg: Msg) => boolean;
	/** Subjects of what was asked of JetStream's API. */
	readonly asked: string[];
}

export function tamper(real: NatsConnection): Tampered {
	const tampered: Tampered = {
		nc: new Proxy(real, {
			get(target, name) {
				if (name === "subscribe") {
					return (subject: string, options: SubscriptionOptions = {}) => {
						const { callback } = options;
						if (callback === undefined) return target.subscribe(subject, options);
						return target.subscribe(subject, {
							...options,
							callback: (error, msg) => {
								if (error !== null || tampered.arrives(msg)) void callback(error, msg);
							},
						});
					};
				}
				const value = Reflect.get(target, name, target);
				if (typeof value !== "function") return value;
				return (...args: unknown[]) => {
					const [subject] = args;
					if (typeof subject === "string" && subject.startsWith("$JS.API.")) tampered.asked.push(subject);
					return Reflect.apply(value, target, args);
				};
			},
		}),
		arrives: () => true,
		asked: [],
	};
	return tampered;
}
