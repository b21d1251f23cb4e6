import {
	AttributeType,
	Billing,
	type ITableRef,
	StreamViewType,
	TableEncryptionV2,
	TableV2,
} from "aws-cdk-lib/aws-dynamodb";
import { type ISecret, Secret } from "aws-cdk-lib/aws-secretsmanager";
import type { Construct } from "constructs";
import { FanoutStack, type FanoutStackProps } from "./fanout-stack.ts";

/** Epoch seconds. TTL deletes late, up to days: whoever reads filters on it too. */
const TTL_ATTRIBUTE = "expiresAt";

/**
 * What must outlive a deployment. Regional: the log, the connections, and who owns which
 * session (a global table would take the last writer's word). Global, made by the primary region with a replica
 * in every other: the sessions table and the secret that ticket keys are derived from.
 */
export class StateStack extends FanoutStack {
	readonly logTable: TableV2;
	readonly connectionsTable: TableV2;
	readonly ownersTable: TableV2;
	/** In a replica region this is a reference by name. */
	readonly sessionsTable: ITableRef;
	/** The stream of the sessions table, where this stack made it. */
	readonly sessionsStreamArn: string | undefined;
	readonly ticketSecret: Pick<ISecret, "grantRead">;
	readonly isPrimary: boolean;

	constructor(scope: Construct, props: Omit<FanoutStackProps, "description">) {
		super(scope, "state", { ...props, description: "mcp-fanout: log, connections and sessions of one region" });
		this.isPrimary = this.place === this.config.primaryRegion;

		this.logTable = new TableV2(this, "Log", {
			partitionKey: { name: "channel", type: AttributeType.STRING },
			sortKey: { name: "n", type: AttributeType.NUMBER },
			...this.tableDefaults(),
		});
		this.connectionsTable = new TableV2(this, "Connections", {
			partitionKey: { name: "pk", type: AttributeType.STRING },
			sortKey: { name: "sk", type: AttributeType.STRING },
			...this.tableDefaults(),
			// Rows live as long as a connection does: a restored one would name connections that are gone.
			pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: false },
		});
		this.ownersTable = new TableV2(this, "Owners", {
			partitionKey: { name: "scope", type: AttributeType.STRING },
			sortKey: { name: "id", type: AttributeType.STRING },
			...this.tableDefaults(),
		});
		const own = this.isPrimary ? this.ownSessions() : undefined;
		this.sessionsTable = own ?? TableV2.fromTableName(this, "Sessions", this.names.sessions);
		this.sessionsStreamArn = own?.tableStreamArn;
		this.ticketSecret = this.isPrimary ? this.ownSecret() : this.replicaSecret();
	}

	private get otherRegions(): readonly string[] {
		return this.config.regions.filter((region) => region !== this.place);
	}

	private tableDefaults() {
		return {
			billing: Billing.onDemand(),
			encryption: TableEncryptionV2.dynamoOwnedKey(),
			timeToLiveAttribute: TTL_ATTRIBUTE,
			deletionProtection: this.config.protectState,
			removalPolicy: this.stateRemoval,
			pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: this.config.protectState },
		};
	}

	private ownSessions(): TableV2 {
		return new TableV2(this, "Sessions", {
			tableName: this.names.sessions,
			partitionKey: { name: "session", type: AttributeType.STRING },
			sortKey: { name: "region", type: AttributeType.STRING },
			...this.tableDefaults(),
			dynamoStream: StreamViewType.NEW_AND_OLD_IMAGES,
			replicas: this.otherRegions.map((region) => ({ region })),
		});
	}

	private ownSecret(): Secret {
		return new Secret(this, "TicketSecret", {
			secretName: this.names.ticketSecret,
			description: "mcp-fanout: the ticket key is derived from this text, the same in every region",
			generateSecretString: { passwordLength: 64, excludePunctuation: true },
			removalPolicy: this.stateRemoval,
			replicaRegions: this.otherRegions.map((region) => ({ region })),
		});
	}

	private replicaSecret(): ISecret {
		return Secret.fromSecretNameV2(this, "TicketSecret", this.names.ticketSecret);
	}
}
