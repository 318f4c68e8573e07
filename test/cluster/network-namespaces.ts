import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Addresses 198.18.0.0/15 are for tests of networks (RFC 2544) and in nobody's way. */
const subnet = `198.18.${process.pid % 256}`;

/** The address of a host in the network of this process. */
export function addressOf(host: number): string {
  return `${subnet}.${host}`;
}

const iproute2 = 'ip';

function ip(...args: string[]): void {
  execFileSync(iproute2, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Why namespaces cannot be had here; undefined: they can. */
export function noNamespacesBecause(): string | undefined {
  if (process.getuid?.() !== 0) return 'not root';
  const name = `glt${process.pid}`;
  const made = spawnSync(iproute2, ['netns', 'add', name], { encoding: 'utf8' });
  if (made.error) return 'no iproute2';
  if (made.status !== 0) return `ip netns add: ${made.stderr.trim()}`;
  const veth = spawnSync(iproute2, ['-n', name, 'link', 'add', 'name', 'one', 'type', 'veth', 'peer', 'name', 'two'], {
    encoding: 'utf8',
  });
  spawnSync(iproute2, ['netns', 'del', name]);
  return veth.status === 0 ? undefined : `no veth: ${veth.stderr.trim()}`;
}

/**
 * One network namespace for each host, on a bridge in a namespace of its own; this process is on it as well.
 *
 *     this process ── bridge ─┬─ host 1
 *                             ├─ host 2
 *                             └─ …
 */
export class Network {
  readonly #bridge = `gl${process.pid}b`;
  readonly #uplink = `gl${process.pid}u`;

  constructor(readonly hosts: number) {
    try {
      this.#make();
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** A command that becomes one that runs at the host. It sees every file system that this process mounts later. */
  through(host: number): string[] {
    return ['nsenter', `--net=/run/netns/${this.#name(host)}`];
  }

  /** Pulls the host's cable: nobody reaches it, this process included. */
  unplug(host: number): void {
    ip('-n', this.#bridge, 'link', 'set', `port${host}`, 'down');
  }

  plug(host: number): void {
    ip('-n', this.#bridge, 'link', 'set', `port${host}`, 'up');
  }

  /** What `from` sends to `to` gets lost, and nothing else. */
  cut(from: number, to: number): void {
    ip('-n', this.#name(from), 'route', 'add', 'blackhole', `${addressOf(to)}/32`);
  }

  mend(from: number, to: number): void {
    ip('-n', this.#name(from), 'route', 'del', 'blackhole', `${addressOf(to)}/32`);
  }

  /** Goes on where something is not there. */
  remove(): void {
    for (let host = 1; host <= this.hosts; host += 1) spawnSync(iproute2, ['netns', 'del', this.#name(host)]);
    spawnSync(iproute2, ['netns', 'del', this.#bridge]);
    if (existsSync(`/sys/class/net/${this.#uplink}`)) spawnSync(iproute2, ['link', 'del', this.#uplink]);
  }

  #name(host: number): string {
    return `gl${process.pid}h${host}`;
  }

  #make(): void {
    const bridge = this.#bridge;
    ip('netns', 'add', bridge);
    ip('-n', bridge, 'link', 'add', 'name', 'bridge', 'type', 'bridge', 'forward_delay', '0');
    ip('-n', bridge, 'link', 'set', 'bridge', 'up');
    ip('link', 'add', 'name', this.#uplink, 'type', 'veth', 'peer', 'name', 'uplink', 'netns', bridge);
    ip('-n', bridge, 'link', 'set', 'uplink', 'master', 'bridge', 'up');
    ip('addr', 'add', `${subnet}.254/24`, 'dev', this.#uplink);
    ip('link', 'set', this.#uplink, 'up');
    for (let host = 1; host <= this.hosts; host += 1) {
      const name = this.#name(host);
      ip('netns', 'add', name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
      ip('-n', bridge, 'link', 'add', 'name', `port${host}`, 'type', 'veth', 'peer', 'name', 'eth', 'netns', name);
      ip('-n', bridge, 'link', 'set', `port${host}`, 'master', 'bridge', 'up');
      ip('-n', name, 'addr', 'add', `${addressOf(host)}/24`, 'dev', 'eth');
      ip('-n', name, 'link', 'set', 'eth', 'up');
    }
  }
}
