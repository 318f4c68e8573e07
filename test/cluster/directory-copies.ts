import {
  closeSync,
  copyFileSync,
  cpSync,
  existsSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { lstatSync, mkdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { LiveNode } from './live-cluster.js';

type OnDisk = Pick<LiveNode, 'dataDir'>;

export interface Copy {
  readonly path: string;
  /** What of the data directory to put back. */
  readonly parts: readonly string[];
}

/** All that a data directory holds besides `LOCK`. */
export const everything = ['raft', 'logs', 'serf', 'node.id'];

/** `cp -a` of the node's data directory, as it is now. The node may run. */
export function copyOf({ dataDir }: OnDisk, path: string): string {
  cpSync(dataDir, path, { recursive: true, preserveTimestamps: true });
  return path;
}

/** Restores parts of the node's data directory as new files, as from a backup. */
export function putBack({ dataDir }: OnDisk, { path, parts }: Copy): void {
  for (const part of parts) {
    rmSync(join(dataDir, part), { recursive: true, force: true });
    if (!existsSync(join(path, part))) continue;
    cpSync(join(path, part), join(dataDir, part), { recursive: true, preserveTimestamps: true });
  }
}

/** Restores the node's data directory as a snapshot of the whole disk does: files keep their inodes and birth times. */
export function rollBack({ dataDir }: OnDisk, path: string): void {
  for (const part of everything) overwrite(join(path, part), join(dataDir, part));
}

function overwrite(from: string, to: string): void {
  if (!existsSync(from)) return rmSync(to, { recursive: true, force: true });
  if (!lstatSync(from).isDirectory()) return copyFileSync(from, to);
  mkdirSync(to, { recursive: true });
  for (const name of new Set([...readdirSync(from), ...readdirSync(to)])) overwrite(join(from, name), join(to, name));
}

/** Replaces the node's data directory by a copy of itself. */
export function recopy(node: OnDisk): void {
  const path = copyOf(node, `${node.dataDir}-copied`);
  rmSync(node.dataDir, { recursive: true });
  renameSync(path, node.dataDir);
}

const slotPositions = [0, 4096];
const slotBytes = 56;
const [sequencePosition, termPosition, votePosition, commitPosition] = [8, 16, 24, 32];
export type HardStateDamage = 'the file' | 'both slots' | 'the newest slot' | 'one bit of the newest slot';

interface Slot {
  readonly position: number;
  readonly bytes: Buffer;
}

/** Reads both slots of the hard state, the newest first. */
function readSlots(file: number): Slot[] {
  const slots = slotPositions.map((position) => {
    const bytes = Buffer.alloc(slotBytes);
    readSync(file, bytes, 0, slotBytes, position);
    return { position, bytes };
  });
  const sequence = ({ bytes }: Slot): bigint => bytes.readBigUInt64BE(sequencePosition);
  return slots.sort((a, b) => Number(sequence(b) - sequence(a)));
}

const hardStateOf = ({ dataDir }: OnDisk): string => join(dataDir, 'raft', 'hard-state');

/** Returns the last term in which the node voted or may vote, and the Raft id that has its vote; 0: none. */
export function readVote(node: OnDisk): { readonly term: number; readonly vote: number } {
  const file = openSync(hardStateOf(node), 'r');
  const [{ bytes }] = readSlots(file);
  closeSync(file);
  return {
    term: Number(bytes.readBigUInt64BE(termPosition)),
    vote: Number(bytes.readBigUInt64BE(votePosition)),
  };
}

/** Returns the last entry that the node has noted as committed: it does so now and then. */
export function readCommit(node: OnDisk): number {
  const file = openSync(hardStateOf(node), 'r');
  const [{ bytes }] = readSlots(file);
  closeSync(file);
  return Number(bytes.readBigUInt64BE(commitPosition));
}

/** Damages the hard state of the stopped node. */
export function damageHardState(node: OnDisk, what: HardStateDamage): void {
  if (what === 'the file') return rmSync(hardStateOf(node));
  const file = openSync(hardStateOf(node), 'r+');
  const slots = readSlots(file);
  for (const { position, bytes } of what === 'both slots' ? slots : slots.slice(0, 1)) {
    if (what.startsWith('one bit')) bytes[termPosition + 7] ^= 1;
    // A torn write: only its first half is there.
    else bytes.fill(0, slotBytes / 2);
    writeSync(file, bytes, 0, slotBytes, position);
  }
  closeSync(file);
}
