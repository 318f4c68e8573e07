import type { Coordinate } from './message.js';

const dimensions = 8;
const errorMax = 1.5;
const errorShare = 0.25;
const forceShare = 0.25;
const adjustmentWindow = 20;
const heightMin = 10e-6;
const latencySamples = 3;
const gravityRho = 150;
const zero = 1e-6;
const roundTripSecondsMax = 10;

const origin: Coordinate = {
  adjustment: 0,
  error: errorMax,
  height: heightMin,
  vector: new Array<number>(dimensions).fill(0),
};

/** Returns the estimated round-trip time between two coordinates, in seconds. */
export function distance(a: Coordinate, b: Coordinate): number {
  const raw = rawDistance(a, b);
  const adjusted = raw + a.adjustment + b.adjustment;
  return adjusted > 0 ? adjusted : raw;
}

/**
 * This node's coordinate in the space of round-trip times, updated by each measured ping: Vivaldi with height (Dabek
 * 2004), adjustment and median filter (Ledlie 2007) and gravity (Lee 2010), as in Serf.
 */
export class Vivaldi {
  readonly #random: () => number;
  readonly #samples = new Map<string, number[]>();
  readonly #adjustments = new Array<number>(adjustmentWindow).fill(0);
  #adjustmentIndex = 0;
  #coordinate = origin;

  constructor(random: () => number) {
    this.#random = random;
  }

  get coordinate(): Coordinate {
    return this.#coordinate;
  }

  /**
   * Updates the coordinate by a ping to `node`, which reported the coordinate `other`. Returns false, and ignores the
   * values, if they are invalid.
   */
  update(node: string, other: Coordinate, roundTripSeconds: number): boolean {
    if (other.vector.length !== dimensions || !allFinite(other)) return false;
    if (!(roundTripSeconds >= 0 && roundTripSeconds <= roundTripSecondsMax)) return false;
    const seconds = Math.max(zero, this.#median(node, roundTripSeconds));
    this.#pull(other, seconds);
    this.#adjust(other, seconds);
    this.#gravitate();
    if (!allFinite(this.#coordinate)) this.#coordinate = origin;
    return true;
  }

  /** Drops the samples of `node`. */
  forget(node: string): void {
    this.#samples.delete(node);
  }

  #median(node: string, seconds: number): number {
    const samples = [...(this.#samples.get(node) ?? []), seconds].slice(-latencySamples);
    this.#samples.set(node, samples);
    return samples.toSorted((a, b) => a - b)[samples.length >> 1] ?? seconds;
  }

  #pull(other: Coordinate, seconds: number): void {
    const mine = this.#coordinate;
    const apart = distance(mine, other);
    const wrongness = Math.abs(apart - seconds) / seconds;
    const weight = mine.error / Math.max(zero, mine.error + other.error);
    const error = Math.min(errorMax, errorShare * weight * wrongness + mine.error * (1 - errorShare * weight));
    this.#coordinate = this.#moved({ ...mine, error }, forceShare * weight * (seconds - apart), other);
  }

  #adjust(other: Coordinate, seconds: number): void {
    this.#adjustments[this.#adjustmentIndex] = seconds - rawDistance(this.#coordinate, other);
    this.#adjustmentIndex = (this.#adjustmentIndex + 1) % adjustmentWindow;
    let sum = 0;
    for (const each of this.#adjustments) sum += each;
    this.#coordinate = { ...this.#coordinate, adjustment: sum / (2 * adjustmentWindow) };
  }

  #gravitate(): void {
    const force = -((distance(origin, this.#coordinate) / gravityRho) ** 2);
    this.#coordinate = this.#moved(this.#coordinate, force, origin);
  }

  /** Moves `from` away from `other` if `force` is positive, otherwise toward it. */
  #moved(from: Coordinate, force: number, other: Coordinate): Coordinate {
    const away = from.vector.map((each, index) => each - (other.vector[index] ?? 0));
    const apart = magnitude(away);
    const unit = apart > zero ? away.map((each) => each / apart) : this.#randomUnit();
    const vector = from.vector.map((each, index) => each + force * (unit[index] ?? 0));
    if (apart <= zero) return { ...from, vector };
    const height = Math.max(heightMin, ((from.height + other.height) * force) / apart + from.height);
    return { ...from, vector, height };
  }

  /** Returns a random direction, in which two equal coordinates are moved apart. */
  #randomUnit(): number[] {
    const direction = origin.vector.map(() => this.#random() - 0.5);
    const length = magnitude(direction);
    return length > zero
      ? direction.map((each) => each / length)
      : origin.vector.map((_, index) => (index === 0 ? 1 : 0));
  }
}

function rawDistance(a: Coordinate, b: Coordinate): number {
  let sum = 0;
  for (let index = 0; index < dimensions; index += 1) {
    sum += ((a.vector[index] ?? 0) - (b.vector[index] ?? 0)) ** 2;
  }
  return Math.sqrt(sum) + a.height + b.height;
}

function magnitude(vector: readonly number[]): number {
  let sum = 0;
  for (const each of vector) sum += each * each;
  return Math.sqrt(sum);
}

function allFinite({ adjustment, error, height, vector }: Coordinate): boolean {
  return Number.isFinite(adjustment + error + height) && vector.every(Number.isFinite);
}
