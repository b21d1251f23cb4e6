/** What the cell's handlers call; not for applications. */

export { isFanoutError } from "../../../core/errors.ts";
export { parseClaims, TICKET_PROTOCOL, ticketOf } from "../ticket.ts";
export { type AuthorizePorts, authorize, headerOf, type Policy } from "./authorize.ts";
export { type Cell, createCell, type Environment } from "./cell.ts";
export { type Connection, type ConnectionMeta, type Connections, createConnections } from "./connections.ts";
export { type Delivered, type DeliverPorts, deliver, type MailRecord } from "./deliver.ts";
export { type FailedMail, STUCK_RECEIVES } from "./failed-mail.ts";
export { type ForwardPorts, forward } from "./forward.ts";
export { answerFrame, type FramePorts } from "./frames.ts";
export { readEvent } from "./ingest.ts";
export { groupOf, type MailboxMessage, mailboxMessage } from "./mailbox.ts";
export { createPoster, endConnection, type Poster, type PostPorts, postFrames, type Reports } from "./poster.ts";
export { createQueues, type Queues } from "./queues.ts";
export { type RelayPorts, type RelayRecord, relay } from "./relay.ts";
export { createPostRound, type PostRound } from "./round.ts";
export { deliverShards, type ShardDelivered, type ShardPorts } from "./shard-worker.ts";
export { type ClaimedStream, streamOf } from "./stream-of.ts";
export { type SyncPorts, type SyncRecord, sync } from "./sync.ts";
