/**
 * Signs a WebSocket's address for one handshake: AWS Signature Version 4 in the query, since no browser-like client can
 * set a header. Every parameter is signed: one that is added later makes the signature wrong.
 * Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
import { createHash, createHmac } from "node:crypto";

export interface Credentials {
	readonly accessKeyId: string;
	readonly secretAccessKey: string;
	readonly sessionToken?: string;
}

export interface Signing {
	readonly region: string;
	readonly credentials: Credentials;
	/** Wall time, in milliseconds since 1970. */
	readonly nowMs: number;
	/** How long the address may be used. */
	readonly seconds: number;
}

const ALGORITHM = "AWS4-HMAC-SHA256";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const hmac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();

/** As RFC 3986 has it, where encodeURIComponent leaves five characters more. */
const encode = (text: string): string =>
	encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

export function signAddress(address: string, { region, credentials, nowMs, seconds }: Signing): string {
	const url = new URL(address);
	const stamp = new Date(nowMs).toISOString().replace(/[:-]|\.\d+/g, "");
	const scope = [stamp.slice(0, 8), region, "execute-api", "aws4_request"];
	const { accessKeyId, secretAccessKey, sessionToken } = credentials;
	const parameters: (readonly [string, string])[] = [
		...url.searchParams,
		["X-Amz-Algorithm", ALGORITHM],
		["X-Amz-Credential", [accessKeyId, ...scope].join("/")],
		["X-Amz-Date", stamp],
		["X-Amz-Expires", String(seconds)],
		["X-Amz-SignedHeaders", "host"],
	];
	if (sessionToken !== undefined) parameters.push(["X-Amz-Security-Token", sessionToken]);
	const query = parameters
		.map(([name, value]) => `${encode(name)}=${encode(value)}`)
		.sort()
		.join("&");
	// The path is encoded once more than it is sent.
	const path = url.pathname.split("/").map(encode).join("/");
	const request = ["GET", path, query, `host:${url.host}`, "", "host", sha256("")].join("\n");
	const key = scope.reduce<string | Buffer>(hmac, `AWS4${secretAccessKey}`);
	const signature = hmac(key, [ALGORITHM, stamp, scope.join("/"), sha256(request)].join("\n")).toString("hex");
	url.search = `${query}&X-Amz-Signature=${signature}`;
	return url.href;
}
