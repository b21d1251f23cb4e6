import type { Node } from "constructs";
import type { EmulatorOptions, EnvironmentConfig } from "./environment.ts";
import { checkEnvironment, environmentConfig } from "./environments.ts";

export interface SynthContext {
	readonly config: EnvironmentConfig;
	readonly emulator?: EmulatorOptions;
	readonly lookUp?: string;
}

/** Reads the app's context (`-c key=value`, cdk.json). Every value is checked; an unknown environment is an error. */
export function readContext(node: Node): SynthContext {
	const text = (key: string): string | undefined => {
		const value: unknown = node.tryGetContext(key);
		if (value === undefined || value === "") return undefined;
		if (typeof value !== "string") throw new Error(`context "${key}" must be a text, found ${JSON.stringify(value)}`);
		return value;
	};
	const config = environmentConfig(text("env") ?? "dev");
	const account = text("account");
	if (account !== undefined && !/^\d{12}$/.test(account)) {
		throw new Error(`context "account" must be 12 digits, found "${account}"`);
	}
	const read = account === undefined ? config : checkEnvironment({ ...config, account });
	const emulated: unknown = node.tryGetContext("emulator");
	if (emulated !== true && emulated !== "true") return { config: read, ...part("lookUp", text("lookUp")) };
	return {
		config: read,
		emulator: {
			...part("socketTemplate", template("socketTemplate", text("socketTemplate"), "{apiId}")),
			...part("callbackTemplate", template("callbackTemplate", text("callbackTemplate"), "{apiId}")),
			...part("functionUrlTemplate", template("functionUrlTemplate", text("functionUrlTemplate"), "{urlId}")),
		},
	};
}

function part<Key extends string>(key: Key, value: string | undefined): { readonly [K in Key]?: string } {
	return value === undefined ? {} : ({ [key]: value } as { readonly [K in Key]?: string });
}

function template(key: string, value: string | undefined, placeholder: string): string | undefined {
	if (value !== undefined && !value.includes(placeholder)) {
		throw new Error(`context "${key}" must contain ${placeholder}, found "${value}"`);
	}
	return value;
}
