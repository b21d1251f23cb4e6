/**
 * ioredis's way to Sentinels, without its printing: it listens to them for failovers by clients of its own, on which nobody
 * else can put a listener, and writes their errors to the console ("Unhandled error event").
 */
import type * as Ioredis from "ioredis";

type Connector = NonNullable<Ioredis.RedisOptions["Connector"]>;

/** A method that the library's types keep private. */
interface SentinelDialler {
	connectToSentinel(...args: readonly unknown[]): Ioredis.Redis;
}

export function quietConnector({ SentinelConnector }: Pick<typeof Ioredis, "SentinelConnector">): Connector {
	const Base = SentinelConnector as unknown as new (options: object) => SentinelDialler;
	class QuietConnector extends Base {
		override connectToSentinel(...args: readonly unknown[]): Ioredis.Redis {
			return super.connectToSentinel(...args).on("error", () => {});
		}
	}
	return QuietConnector as unknown as Connector;
}
