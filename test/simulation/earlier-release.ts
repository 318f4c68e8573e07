import { decodeChangeContext } from '../../src/application/configuration/configuration-json.js';
import type { ConfigurationFile } from '../../src/application/configuration/configuration-file.js';
import { UnavailableError } from '../../src/application/errors.js';
import type { MemberDependencies } from '../../src/application/node/node-dependencies.js';
import type { RaftNode } from '../../src/application/raft/raft-node.js';
import type { Directory, File } from '../../src/domain/log/directory.js';

/**
 * Changes what a member is started with, so that it acts as the release before feature levels did: it asks no peer to
 * vouch for it, has neither an incarnation nor notes, offers no level, and begins a cluster at level 0. That it vouches
 * for nobody, and sends and hears no notes, is up to the network.
 *
 * @param unknown takes the files that the earlier release does not have
 */
export function asEarlierRelease(deps: MemberDependencies, unknown: Directory): MemberDependencies {
  const { directory, joinTransport, peerService, startRaft } = deps;
  return {
    ...deps,
    directory: { ...directory, raft: new EarlierDirectory(directory.raft, unknown) },
    joinTransport: {
      ask: (rpcAddr, { featureLevel: _, ...joiner }, signal) => joinTransport.ask(rpcAddr, joiner, signal),
      vouch: () => Promise.resolve('unsupported'),
    },
    peerService: { ...peerService, setVouchHandler: () => undefined },
    ...(startRaft && {
      startRaft: async (options) => {
        await beginWithoutLevel(options.configuration);
        return withoutSettings(await startRaft(options));
      },
    }),
  };
}

/** Replaces the configuration with which this node is about to begin a cluster. */
async function beginWithoutLevel(configuration: ConfigurationFile): Promise<void> {
  const { stored } = configuration;
  const [first, ...later] = stored?.history ?? [];
  const isBeginning = first?.index === 0 && later.length === 0 && stored?.contacts.length === 0;
  if (stored !== undefined && isBeginning && first.settings.featureLevel !== undefined)
    await configuration.write({ ...stored, history: [{ ...first, settings: {} }] });
}

function withoutSettings(node: RaftNode): RaftNode {
  const { leadership } = node;
  const propose = leadership.proposeChange.bind(leadership);
  leadership.proposeChange = async (change) => {
    const { members, settings } = decodeChangeContext(change);
    if (members.length === 0 && settings !== undefined) throw new UnavailableError('this release knows no settings');
    return propose(change);
  };
  return node;
}

/** The directory `raft/` of a release that does not know some of its files: it neither reads nor writes them. */
class EarlierDirectory implements Directory {
  constructor(
    private readonly known: Directory,
    private readonly unknown: Directory,
  ) {}

  list(): Promise<string[]> {
    return this.known.list();
  }

  subdirectory(name: string): Promise<Directory> {
    return this.known.subdirectory(name);
  }

  create(name: string): Promise<File> {
    return this.#of(name).create(name);
  }

  open(name: string): Promise<File> {
    return this.#of(name).open(name);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#of(from).rename(from, to);
  }

  remove(name: string): Promise<void> {
    return this.#of(name).remove(name);
  }

  sync(): Promise<void> {
    return this.known.sync();
  }

  freeBytes(): Promise<number> {
    return this.known.freeBytes();
  }

  #of(name: string): Directory {
    return /^(incarnation|peer-notes)/.test(name) ? this.unknown : this.known;
  }
}
