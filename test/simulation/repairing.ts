import type { ConfigurationFile } from '../../src/application/configuration-file.js';
import { CommitLogService } from '../../src/application/commit-log-service.js';
import { DamagedNode, isDamaged } from '../../src/application/damaged-log.js';
import { LogRepair, type LogRepairOptions } from '../../src/application/log-repair.js';
import { toIndex } from '../../src/domain/log/offsets.js';
import type { Member } from '../../src/application/configuration.js';
import { InvariantError, type World } from './world.js';

export interface RepairingOptions extends LogRepairOptions {
  readonly world: World;
  readonly self: Pick<Member, 'name'>;
  readonly clusterId: Uint8Array;
  readonly configuration: ConfigurationFile;
}

/** What stands where Raft will, while a node repairs its log. */
export interface Repairing {
  readonly service: CommitLogService;
  /** How far it is. */
  readonly inWords: string;
  /** Whether the node may take part; false: it was stopped before. Rejects as `LogRepair.run`. */
  readonly repaired: Promise<boolean>;
  /** Those who wait for something are sent away. */
  readonly end: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** As `takePart` does: undefined where there is nothing to repair. */
export async function beginRepair(options: RepairingOptions): Promise<Repairing | undefined> {
  const { world, log, configuration, id, self, clusterId } = options;
  const hidesItsEnd = log.quarantined.some(({ toIndex }) => toIndex > log.lastIndex);
  const repair = await LogRepair.prepare(options);
  if (repair === undefined) {
    if (isDamaged(log)) throw new InvariantError('start', `${self.name} is damaged and has nobody to repair it`);
    return undefined;
  }
  const node = new DamagedNode({ log, configuration: configuration.current, id, self, clusterId, repair });
  const stopping = new AbortController();
  const run = async (): Promise<boolean> => {
    try {
      await repair.run(stopping.signal);
    } catch (error) {
      if (stopping.signal.aborted) return false;
      throw error;
    }
    world.mark(log.quarantined.length > 0 ? 'repair given up for now' : 'repaired');
    if (hidesItsEnd) world.mark('repaired an end that hid how much there was');
    return true;
  };
  const repaired = run();
  return {
    service: new CommitLogService(node, log),
    get inWords() {
      return repair.inWords;
    },
    repaired,
    end: () => node.close(),
    stop: async () => {
      stopping.abort();
      await repaired.catch(() => undefined);
    },
  };
}

/** A negative control: what is damaged is cut off, and the node goes on as if that had never been there. */
export async function forgetDamage({ log, hardState, world }: RepairingOptions): Promise<void> {
  const from = Math.min(...log.quarantined.map(({ fromIndex }) => fromIndex));
  if (from === Infinity) return;
  world.mark('damage forgotten');
  await log.truncateSuffix(toIndex(Math.max(log.startIndex, Math.min(from, log.lastIndex + 1))));
  const { current } = hardState;
  await hardState.save({ ...current, commit: toIndex(Math.min(current.commit, log.lastIndex)) });
}
