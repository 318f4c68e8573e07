import { cpus, loadavg, release, totalmem, type } from 'node:os';
import { statfs } from 'node:fs/promises';
import { versionOf } from './processes.js';

export interface Machine {
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly node: string;
  /** The load average of the last minute: above about 0.5 something else runs, and the figures are worth less. */
  readonly load: number;
  readonly fileSystem: string;
  readonly peers: Readonly<Record<string, string>>;
}

const fileSystems: Readonly<Record<number, string>> = {
  0xef53: 'ext4',
  0x01021994: 'tmpfs',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x794c7630: 'overlayfs',
};

/** `directory`: where the data directories will lie. */
export async function describeMachine(directory: string): Promise<Machine> {
  const peers: Record<string, string> = {};
  for (const name of ['redis-server', 'h2load', 'nats-server', 'etcd'])
    peers[name] = (await versionOf(name)) ?? 'not installed';
  const kind = (await statfs(directory)).type;
  return {
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
    node: process.version,
    load: loadavg()[0] ?? 0,
    fileSystem: fileSystems[kind] ?? `0x${kind.toString(16)}`,
    peers,
  };
}
