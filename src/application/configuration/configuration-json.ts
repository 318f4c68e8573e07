import { InvalidInputError } from '../../domain/log/errors.js';
import type { ConfChange, ConfChangeV2 } from '../../domain/raft/conf-change.js';
import type { ConfState } from '../../domain/raft/conf-state.js';
import type { ClusterSettings } from './cluster-settings.js';
import type {
  ChangeContext,
  Configuration,
  ConfigurationTransfer,
  StoredConfiguration,
  Member,
  RemovedMember,
} from './configuration.js';

/**
 * Parses the JSON of a configuration, from a file or from a peer. Like the other parsers here, throws
 * `InvalidInputError` for anything that these functions do not write, and ignores unknown fields.
 */
export function parseStoredConfiguration(json: Uint8Array): StoredConfiguration {
  const { id, contacts, replica, amnesiac, history, generation, superseded, recovery, damagedFrom, repairing } =
    objectOf(json);
  return {
    id: naturalOf(id),
    contacts: listOf(contacts, memberOf),
    ...(replica !== undefined && booleanOf(replica) && { replica: true }),
    ...(amnesiac !== undefined && booleanOf(amnesiac) && { amnesiac: true }),
    history: listOf(history, configurationOf),
    ...(generation !== undefined && { generation: naturalOf(generation) }),
    ...(superseded !== undefined && { superseded: naturalOf(superseded) }),
    ...(recovery !== undefined && { recovery: recoveryOf(recovery) }),
    ...(damagedFrom !== undefined && { damagedFrom: naturalOf(damagedFrom) }),
    ...(repairing !== undefined && { repairing: repairingOf(repairing) }),
  };
}

export function encodeTransfer(transfer: ConfigurationTransfer): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(transfer));
}

export function parseTransfer(json: Uint8Array): ConfigurationTransfer {
  const { configuration, offset, contacts, generation } = objectOf(json);
  return {
    configuration: configurationOf(configuration),
    offset: naturalOf(offset),
    contacts: listOf(contacts, memberOf),
    ...(generation !== undefined && { generation: naturalOf(generation) }),
  };
}

export function encodeConfiguration(configuration: Configuration): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(configuration));
}

export function parseConfiguration(json: Uint8Array): Configuration {
  return configurationOf(objectOf(json));
}

export function encodeSettings(settings: ClusterSettings): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(settings));
}

export function parseSettings(json: Uint8Array): ClusterSettings {
  return settingsOf(objectOf(json));
}

export function encodeChangeContext(context: ChangeContext): Uint8Array {
  // Version 0.1 expects a nonce and recognized its own change by it; no node uses 0.
  return new TextEncoder().encode(JSON.stringify({ nonce: 0, ...context }));
}

export function parseChangeContext(json: Uint8Array): ChangeContext {
  const { members, removed, settings } = objectOf(json);
  return {
    members: listOf(members, memberOf),
    ...removedOf(removed),
    ...(settings !== undefined && { settings: settingsOf(settings) }),
  };
}

/**
 * Returns the context of a change. A change without one (the change by which a leader leaves a joint configuration)
 * adds no member. Throws `InvalidInputError`.
 */
export function decodeChangeContext({ context }: ConfChange | ConfChangeV2): ChangeContext {
  if (context.length === 0) return { members: [] };
  return parseChangeContext(context);
}

function objectOf(json: Uint8Array): Record<string, unknown> {
  try {
    return fieldsOf(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json)));
  } catch (cause) {
    if (cause instanceof InvalidInputError) throw cause;
    throw new InvalidInputError('the configuration is not valid JSON', { cause });
  }
}

function configurationOf(value: unknown): Configuration {
  const { index, confState, members, lastId, removed, settings = {} } = fieldsOf(value);
  return {
    index: naturalOf(index),
    confState: confStateOf(confState),
    members: listOf(members, memberOf),
    lastId: naturalOf(lastId),
    ...removedOf(removed),
    settings: settingsOf(settings),
  };
}

/** Keeps unknown fields: a node of this release must not drop a setting of a later one. */
function settingsOf(value: unknown): ClusterSettings {
  const fields = fieldsOf(value);
  for (const name of settingNames) if (fields[name] !== undefined) naturalOf(fields[name]);
  return fields;
}

const settingNames = [
  'featureLevel',
  'generation',
  'startOffset',
  'retentionBytes',
  'retentionAgeMs',
  'producersMax',
  'producerExpiryMs',
] as const satisfies readonly (keyof ClusterSettings)[];

function removedOf(value: unknown): Pick<Configuration, 'removed'> {
  if (value === undefined) return {};
  const removed = listOf(value, (each): readonly RemovedMember[] => {
    const { id, uuid, removal } = fieldsOf(each);
    const isKnown = removal === 'on request' || removal === 'as dead';
    return isKnown ? [{ id: naturalOf(id), uuid: textOf(uuid), removal }] : [];
  });
  return { removed: removed.flat() };
}

function confStateOf(value: unknown): ConfState {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = fieldsOf(value);
  return {
    voters: listOf(voters, naturalOf),
    votersOutgoing: listOf(votersOutgoing, naturalOf),
    learners: listOf(learners, naturalOf),
    learnersNext: listOf(learnersNext, naturalOf),
    autoLeave: booleanOf(autoLeave),
  };
}

function memberOf(value: unknown): Member {
  const { id, name, uuid, rpcAddr, replaces } = fieldsOf(value);
  return {
    id: naturalOf(id),
    name: textOf(name),
    uuid: textOf(uuid),
    rpcAddr: textOf(rpcAddr),
    ...(replaces !== undefined && { replaces: naturalOf(replaces) }),
  };
}

function repairingOf(value: unknown): NonNullable<StoredConfiguration['repairing']> {
  const { until, cutFrom } = fieldsOf(value);
  return { until: naturalOf(until), ...(cutFrom !== undefined && { cutFrom: naturalOf(cutFrom) }) };
}

function recoveryOf(value: unknown): NonNullable<StoredConfiguration['recovery']> {
  if (value === 'interrupted' || value === 'finished') return value;
  throw wrong('interrupted or finished', value);
}

function fieldsOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong('an object', value);
  return { ...value };
}

function listOf<T>(value: unknown, elementOf: (element: unknown) => T): T[] {
  if (!Array.isArray(value)) throw wrong('a list', value);
  return value.map((element) => elementOf(element));
}

function naturalOf(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw wrong('an integer from 0', value);
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  throw wrong('a text', value);
}

function booleanOf(value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw wrong('true or false', value);
}

function wrong(expected: string, value: unknown): InvalidInputError {
  return new InvalidInputError(`invalid configuration: expected ${expected}, got ${typeof value}`);
}
