import type { GossipAddress, ProtocolVersions, SwimState } from './message.js';

/** SWIM's view of a member. */
export interface SwimMember {
  readonly name: string;
  address: GossipAddress;
  meta: Uint8Array;
  versions: ProtocolVersions;
  incarnation: number;
  state: SwimState;
  stateChangedAt: number;
}

export function sameAddress(a: GossipAddress, b: GossipAddress): boolean {
  return a.port === b.port && a.ip === b.ip;
}

export function isDeadOrLeft({ state }: SwimMember): boolean {
  return state === 'dead' || state === 'left';
}

/** The members known to SWIM, in the random order in which they are probed (SWIM §4.3). */
export class MemberList {
  readonly #byName = new Map<string, SwimMember>();
  readonly #countOfAddress = new Map<string, number>();
  readonly #random: () => number;
  readonly #lengthMax: number;
  #members: SwimMember[] = [];
  #probeIndex = 0;

  constructor(random: () => number, lengthMax: number) {
    this.#random = random;
    this.#lengthMax = lengthMax;
  }

  get length(): number {
    return this.#members.length;
  }

  get(name: string): SwimMember | undefined {
    return this.#byName.get(name);
  }

  [Symbol.iterator](): IterableIterator<SwimMember> {
    return this.#members[Symbol.iterator]();
  }

  /** Returns true if a member in any state is at this address. */
  hasAddress(address: GossipAddress): boolean {
    return this.#countOfAddress.has(addressKey(address));
  }

  /** Adds a member at a random position; returns false, and adds nothing, if the list is full of live members. */
  add(member: SwimMember): boolean {
    if (this.#members.length >= this.#lengthMax && !this.#evictLongestDeadOrLeft()) return false;
    this.#byName.set(member.name, member);
    this.#countAddress(member.address, 1);
    const i = this.#randomIndex(this.#members.length + 1);
    const displaced = this.#members[i];
    if (displaced !== undefined) this.#members.push(displaced);
    this.#members[i] = member;
    return true;
  }

  move(member: SwimMember, address: GossipAddress): void {
    if (sameAddress(member.address, address)) return;
    this.#countAddress(member.address, -1);
    this.#countAddress(address, 1);
    member.address = address;
  }

  /** Returns up to `count` distinct random members that `accepts` allows. */
  pick(count: number, accepts: (member: SwimMember) => boolean): SwimMember[] {
    const picked: SwimMember[] = [];
    for (let tries = 3 * this.#members.length; tries > 0 && picked.length < count; tries -= 1) {
      const member = this.#members[this.#randomIndex(this.#members.length)];
      if (member !== undefined && accepts(member) && !picked.includes(member)) picked.push(member);
    }
    return picked;
  }

  /**
   * Returns the next member to probe: each one comes once per round. After each round, removes members that died or
   * left before `changedBefore`, and shuffles the order.
   */
  nextToProbe(accepts: (member: SwimMember) => boolean, changedBefore: number): SwimMember | undefined {
    for (let checks = this.#members.length + 1; checks > 0; checks -= 1) {
      if (this.#probeIndex >= this.#members.length) {
        this.#removeDeadOrLeft(changedBefore);
        this.#shuffle();
        this.#probeIndex = 0;
      }
      const member = this.#members[this.#probeIndex];
      this.#probeIndex += 1;
      if (member !== undefined && accepts(member)) return member;
    }
    return undefined;
  }

  #removeDeadOrLeft(changedBefore: number): void {
    this.#members = this.#members.filter((member) => {
      const stays = !isDeadOrLeft(member) || member.stateChangedAt >= changedBefore;
      if (!stays) this.#forget(member);
      return stays;
    });
  }

  #evictLongestDeadOrLeft(): boolean {
    let longest: SwimMember | undefined;
    for (const member of this.#members) {
      if (isDeadOrLeft(member) && (longest === undefined || member.stateChangedAt < longest.stateChangedAt))
        longest = member;
    }
    if (longest === undefined) return false;
    this.#members = this.#members.filter((member) => member !== longest);
    this.#forget(longest);
    return true;
  }

  #forget(member: SwimMember): void {
    this.#byName.delete(member.name);
    this.#countAddress(member.address, -1);
  }

  #countAddress(address: GossipAddress, change: number): void {
    const key = addressKey(address);
    const count = (this.#countOfAddress.get(key) ?? 0) + change;
    if (count > 0) this.#countOfAddress.set(key, count);
    else this.#countOfAddress.delete(key);
  }

  #shuffle(): void {
    for (let last = this.#members.length - 1; last > 0; last -= 1) {
      const other = this.#randomIndex(last + 1);
      const [a, b] = [this.#members[last], this.#members[other]];
      if (a === undefined || b === undefined) return;
      this.#members[last] = b;
      this.#members[other] = a;
    }
  }

  #randomIndex(length: number): number {
    return Math.floor(this.#random() * length);
  }
}

function addressKey({ ip, port }: GossipAddress): string {
  return `${ip} ${port}`;
}
