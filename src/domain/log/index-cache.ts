import type { Segment } from './segment.js';
import type { SparseIndex } from './sparse-index.js';

interface CachedIndex {
  readonly index: Promise<SparseIndex>;
  bytes: number;
}

/** An LRU cache of sealed segments' indexes, loaded on demand and bounded in bytes. */
export class IndexCache {
  /** In order of use, least recent first. */
  readonly #cached = new Map<Segment, CachedIndex>();
  #bytes = 0;

  constructor(
    private readonly bytesMax: number,
    private readonly load: (segment: Segment) => Promise<SparseIndex>,
  ) {}

  /** Memory used by the cached indexes. */
  get bytes(): number {
    return this.#bytes;
  }

  get(segment: Segment): Promise<SparseIndex> {
    const cached = this.#cached.get(segment);
    if (!cached) return this.#add(segment, this.load(segment));
    this.#cached.delete(segment);
    this.#cached.set(segment, cached);
    return cached.index;
  }

  put(segment: Segment, index: SparseIndex): void {
    this.forget(segment);
    void this.#add(segment, Promise.resolve(index));
  }

  forget(segment: Segment): void {
    const cached = this.#cached.get(segment);
    if (!cached) return;
    this.#cached.delete(segment);
    this.#bytes -= cached.bytes;
  }

  #add(segment: Segment, index: Promise<SparseIndex>): Promise<SparseIndex> {
    const cached: CachedIndex = { index, bytes: 0 };
    this.#cached.set(segment, cached);
    index.then(
      ({ bytes }) => {
        if (this.#cached.get(segment) !== cached) return;
        cached.bytes = bytes;
        this.#bytes += bytes;
        this.#evict(segment);
      },
      () => {
        if (this.#cached.get(segment) === cached) this.#cached.delete(segment);
      },
    );
    return index;
  }

  #evict(latest: Segment): void {
    for (const segment of this.#cached.keys()) {
      if (this.#bytes <= this.bytesMax) return;
      if (segment !== latest) this.forget(segment);
    }
  }
}
