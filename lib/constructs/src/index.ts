export type { CellEnvironment, FanoutCell } from "./cell.ts";
export { FifoMailbox, type FifoMailboxProps, MAX_MAIL_BYTES } from "./fifo-mailbox.ts";
export { grantListen, grantPublish, grantSessions, grantTickets } from "./grants.ts";
export { type AttachOptions, FanoutLayer, type FanoutLayerProps } from "./layer.ts";
export { contentBytes, layLayerContent } from "./layer-content.ts";
export { type CellNames, cellNames, environmentParameterName, parameterName } from "./names.ts";
export { NotificationRule, type NotificationRuleProps, type NotificationTarget } from "./notification-rule.ts";
export type { ParameterOptions } from "./parameters.ts";
export { FanoutWebSocketApi, type FanoutWebSocketApiProps, SOCKET_ACTIONS } from "./websocket-api.ts";
