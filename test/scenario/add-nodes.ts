import type { ConfState } from '../../src/domain/raft/conf-state.js';
import { emptyConfState } from '../../src/domain/raft/conf-state.js';
import type { RaftConfig, ReadOnlyOption } from '../../src/domain/raft/config.js';
import type { RaftLogger } from '../../src/domain/raft/raft-logger.js';
import type { Snapshot } from '../../src/domain/raft/snapshot.js';
import { CommandError } from './command-error.js';
import type { Argument, Directive } from './grammar.js';
import { parseBoolean, parseNumber } from './grammar.js';
import { quote } from './quote.js';
import type { NodeSetup } from './scenario-node.js';

type Config = { -readonly [Key in keyof NodeSetup['config']]: RaftConfig[Key] };

const text = new TextEncoder();

/** Election timeouts are the longest possible: scenarios that depend on the timeout set it. */
const drawHighest = (bound: number): number => bound - 1;

/** Reads the arguments of `add-nodes` after the number of nodes. */
export function readNodeSetup(directive: Directive, logger: RaftLogger): NodeSetup {
  const config: Config = {
    electionTick: 3,
    heartbeatTick: 1,
    maxInflightMsgs: 2 ** 31 - 1,
    random: drawHighest,
    logger,
  };
  let confState: ConfState = emptyConfState;
  let index = 0;
  let data = new Uint8Array(0);
  for (const given of directive.args.slice(1)) {
    const { key, values } = given;
    const ids = (): readonly number[] => values.map(parseNumber);
    if (key === 'voters') confState = { ...confState, voters: ids() };
    else if (key === 'learners') confState = { ...confState, learners: ids() };
    else if (values.length === 0) continue;
    else if (key === 'index') config.applied = index = parseNumber(single(given));
    else if (key === 'content') data = text.encode(single(given));
    else readSetting(config, given);
  }
  const { voters, learners } = confState;
  if (voters.length === 0 && learners.length === 0 && index === 0 && data.length === 0) {
    return { config, snapshot: undefined };
  }
  if (index <= 1) throw new CommandError('index must be specified as > 1 due to bootstrap');
  const snapshot: Snapshot = { data, metadata: { confState, index, term: 1 } };
  return { config, snapshot };
}

function readSetting(config: Config, given: Argument): void {
  const value = single(given);
  switch (given.key) {
    case 'inflight':
      config.maxInflightMsgs = parseNumber(value);
      break;
    case 'async-storage-writes':
      config.asyncStorageWrites = parseBoolean(value);
      break;
    case 'prevote':
      config.preVote = parseBoolean(value);
      break;
    case 'checkquorum':
      config.checkQuorum = parseBoolean(value);
      break;
    case 'max-committed-size-per-ready':
      config.maxCommittedSizePerReady = parseNumber(value);
      break;
    case 'disable-conf-change-validation':
      config.disableConfChangeValidation = parseBoolean(value);
      break;
    case 'read-only':
      config.readOnlyOption = parseReadOnly(value);
      break;
    case 'step-down-on-removal':
      config.stepDownOnRemoval = parseBoolean(value);
      break;
    default:
      break;
  }
}

function parseReadOnly(value: string): ReadOnlyOption {
  if (value === 'safe' || value === 'lease-based') return value;
  throw new CommandError(`invalid read-only option ${quote(text.encode(value))}`);
}

function single({ key, values }: Argument): string {
  const [value, ...rest] = values;
  if (value === undefined || rest.length > 0) throw new CommandError(`expected one value for ${key}`);
  return value;
}
