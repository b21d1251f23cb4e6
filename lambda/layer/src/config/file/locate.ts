/**
 * On which line each key of a TOML text stands, by its dotted path (array elements by number). The parser gives values
 * without places; this reads only the outline, of a text that the parser has already accepted.
 */

type Path = readonly (string | number)[];

const BARE = /[A-Za-z0-9_-]/;

class Outline {
	readonly lines = new Map<string, number>();
	readonly #text: string;
	#at = 0;
	#line = 1;

	constructor(text: string) {
		this.#text = text;
	}

	read(): void {
		let table: Path = [];
		const counts = new Map<string, number>();
		for (this.#blank(); this.#at < this.#text.length; this.#blank()) {
			if (this.#peek() !== "[") {
				this.#pair(table);
				continue;
			}
			const isArray = this.#text.startsWith("[[", this.#at);
			this.#skip(isArray ? 2 : 1);
			const line = this.#line;
			const names = this.#key();
			this.#blank();
			this.#skip(isArray ? 2 : 1);
			// A table under an array of tables belongs to the newest element.
			const path: (string | number)[] = [];
			for (const [index, name] of names.entries()) {
				path.push(name);
				this.#found(path, line);
				const key = path.join(".");
				if (isArray && index === names.length - 1) counts.set(key, (counts.get(key) ?? -1) + 1);
				const count = counts.get(key);
				if (count !== undefined) path.push(count);
			}
			table = path;
			this.#found(path, line);
		}
	}

	#peek(): string {
		return this.#text[this.#at] ?? "";
	}

	#skip(count: number): void {
		for (const end = Math.min(this.#at + count, this.#text.length); this.#at < end; this.#at += 1) {
			if (this.#text[this.#at] === "\n") this.#line += 1;
		}
	}

	#blank(): void {
		while (this.#at < this.#text.length) {
			if (/\s|\uFEFF/.test(this.#peek())) this.#skip(1);
			else if (this.#peek() === "#") while (this.#at < this.#text.length && this.#peek() !== "\n") this.#skip(1);
			else return;
		}
	}

	#found(path: Path, line: number): void {
		const key = path.join(".");
		if (!this.lines.has(key)) this.lines.set(key, line);
	}

	#string(): string {
		const quote = this.#peek();
		const delimiter = this.#text.startsWith(quote.repeat(3), this.#at) ? quote.repeat(3) : quote;
		this.#skip(delimiter.length);
		const start = this.#at;
		while (this.#at < this.#text.length && !this.#text.startsWith(delimiter, this.#at)) {
			this.#skip(quote === '"' && this.#peek() === "\\" ? 2 : 1);
		}
		const text = this.#text.slice(start, this.#at);
		this.#skip(delimiter.length);
		// One or two quotes may stand directly before the three that end it.
		while (delimiter.length === 3 && this.#peek() === quote) this.#skip(1);
		return text;
	}

	#key(): string[] {
		const names: string[] = [];
		for (;;) {
			this.#blank();
			if (this.#peek() === '"' || this.#peek() === "'") names.push(this.#string());
			else {
				const start = this.#at;
				while (BARE.test(this.#peek())) this.#skip(1);
				if (this.#at === start) this.#skip(1);
				names.push(this.#text.slice(start, this.#at));
			}
			this.#blank();
			if (this.#peek() !== ".") return names;
			this.#skip(1);
		}
	}

	#pair(table: Path): void {
		const line = this.#line;
		const path = [...table, ...this.#key()];
		for (let length = table.length + 1; length <= path.length; length += 1) this.#found(path.slice(0, length), line);
		this.#skip(1);
		this.#blank();
		this.#value(path);
	}

	#value(path: Path): void {
		const first = this.#peek();
		if (first === '"' || first === "'") this.#string();
		else if (first === "[") {
			this.#list("]", (index) => {
				this.#found([...path, index], this.#line);
				this.#value([...path, index]);
			});
		} else if (first === "{") this.#list("}", () => this.#pair(path));
		else while (this.#at < this.#text.length && !/[,\]}\n#]/.test(this.#peek())) this.#skip(1);
	}

	#list(close: string, item: (index: number) => void): void {
		this.#skip(1);
		this.#blank();
		for (let index = 0; this.#at < this.#text.length && this.#peek() !== close; index += 1) {
			item(index);
			this.#blank();
			if (this.#peek() === ",") this.#skip(1);
			this.#blank();
		}
		this.#skip(1);
	}
}

export function locateKeys(text: string): ReadonlyMap<string, number> {
	const outline = new Outline(text);
	outline.read();
	return outline.lines;
}
