/** Text whose length in characters is its length in bytes, so that it needs no encoder on its way to a socket. */

/** Counting bytes is faster than any pattern. */
export function isAscii(text: string): boolean {
	return Buffer.byteLength(text) === text.length;
}

const EACH_NOT_ASCII = /[\u0080-\uffff]/g;

/** JSON text in pure ASCII: outside strings JSON has no other characters, inside them every UTF-16 unit may be escaped. */
export function toAscii(json: string): string {
	return isAscii(json) ? json : json.replace(EACH_NOT_ASCII, escapeUnit);
}

function escapeUnit(unit: string): string {
	return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
