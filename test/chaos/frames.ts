/**
 * Cuts what a broker sends into whole protocol frames, so that a link can lose, repeat and delay single deliveries and
 * leave answers alone. One per connection, from its first byte.
 */
export interface Frame {
	readonly bytes: Buffer;
	/** A delivery to a subscriber, not an answer. */
	readonly isLive: boolean;
}

export type Splitter = (chunk: Buffer) => Frame[];

/** Where the frame that starts at `from` ends, or -1 when the rest of it has not come yet. */
type EndOf = (bytes: Buffer, from: number) => number;

function splitter(endOf: EndOf, isLive: (bytes: Buffer) => boolean): Splitter {
	let rest: Buffer = Buffer.alloc(0);
	return (chunk) => {
		const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
		const frames: Frame[] = [];
		let at = 0;
		for (let end = endOf(bytes, at); end >= 0; end = endOf(bytes, at)) {
			const frame = bytes.subarray(at, end);
			frames.push({ bytes: frame, isLive: isLive(frame) });
			at = end;
		}
		rest = bytes.subarray(at);
		return frames;
	};
}

function lineEnd(bytes: Buffer, from: number): number {
	const end = bytes.indexOf("\r\n", from, "latin1");
	return end < 0 ? -1 : end + 2;
}

/** Control lines; MSG and HMSG have a payload of as many bytes as their last number says. */
function natsEnd(bytes: Buffer, from: number): number {
	const end = lineEnd(bytes, from);
	if (end < 0) return -1;
	const line = bytes.toString("latin1", from, end - 2);
	if (!/^H?MSG /.test(line)) return end;
	const whole = end + Number(line.slice(line.lastIndexOf(" ") + 1)) + 2;
	return whole > bytes.length ? -1 : whole;
}

export function natsSplitter(prefix: string): Splitter {
	const live = new RegExp(`^H?MSG ${prefix}-live\\.`);
	return splitter(natsEnd, (bytes) => live.test(bytes.toString("latin1", 0, 64)));
}

/** RESP2 and RESP3. */
function respEnd(bytes: Buffer, from: number): number {
	const end = lineEnd(bytes, from);
	if (end < 0) return -1;
	const type = String.fromCharCode(bytes[from] as number);
	const count = Number(bytes.toString("latin1", from + 1, end - 2));
	if ("$=!".includes(type)) {
		const whole = count < 0 ? end : end + count + 2;
		return whole > bytes.length ? -1 : whole;
	}
	if (!"*~>%".includes(type)) return end;
	let at = end;
	for (let left = type === "%" ? 2 * count : count; left > 0 && at >= 0; left -= 1) {
		at = at < bytes.length ? respEnd(bytes, at) : -1;
	}
	return at;
}

export function respSplitter(): Splitter {
	return splitter(respEnd, (bytes) => /^[*>][34]\r\n\$\d\r\ns?message\r\n/.test(bytes.toString("latin1", 0, 32)));
}
