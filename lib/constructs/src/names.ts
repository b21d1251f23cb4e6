/**
 * The physical names that another region must be able to spell without asking. Everything else has a generated name.
 * A prefix is `<environment>-fanout`; the same names stand in every region of an environment.
 */
export interface CellNames {
	readonly mailbox: string;
	readonly relay: string;
	readonly topic: string;
	readonly sessions: string;
	readonly bus: string;
	readonly ticketSecret: string;
}

export function cellNames(prefix: string): CellNames {
	return {
		mailbox: `${prefix}-mailbox.fifo`,
		relay: `${prefix}-relay`,
		topic: `${prefix}-topic`,
		sessions: `${prefix}-sessions`,
		bus: `${prefix}-bus`,
		ticketSecret: `${prefix}-ticket-secret`,
	};
}

/** The SSM parameter of one fact about a cell, for SAM, Terraform, SST and `FanoutLayer.fromParameters`. */
export function parameterName(prefix: string, fact: string): string {
	return `/${prefix}/${fact}`;
}

/** The SSM parameter of one environment variable, so that it can be read at deploy time without parsing JSON. */
export function environmentParameterName(prefix: string, variable: string): string {
	return parameterName(prefix, `environment/${variable}`);
}
