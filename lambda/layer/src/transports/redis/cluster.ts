/** Which node of a cluster has a key. Source: Redis cluster specification, "Key distribution model" (CRC16 XMODEM). */
import { type Client, isCluster, type Redis } from "./client.ts";

const SLOTS = 16_384;

export interface Node {
	readonly host: string;
	readonly port: number;
}

export function slotOf(key: string): number {
	const open = key.indexOf("{");
	const close = open < 0 ? -1 : key.indexOf("}", open + 1);
	const hashed = close > open + 1 ? key.slice(open + 1, close) : key;
	let crc = 0;
	for (const byte of Buffer.from(hashed)) {
		crc ^= byte << 8;
		for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
	}
	return crc % SLOTS;
}

export function primaries(client: Client): Redis[] {
	return isCluster(client) ? client.nodes("master") : [client];
}

/** The primary that has a key's slot, as the client knows it now; without a cluster, the client. */
export function primaryOf(client: Client, key: string): Redis | undefined {
	if (!isCluster(client)) return client;
	const [name] = client.slots[slotOf(key)] ?? [];
	return client.nodes("master").find(({ options }) => `${options.host}:${options.port}` === name);
}

export function nodeOf(client: Client, key: string): Node | undefined {
	const { host, port } = primaryOf(client, key)?.options ?? {};
	return host === undefined || port === undefined ? undefined : { host, port };
}
