import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';

/**
 * `grpc.health.v1.Health` for the server as a whole (''), for each of its services, and under the name `latched` for
 * probes that decide whether a node keeps its name (see `ReadinessProbe`). Answered to everyone, with or without a
 * certificate: a probe has none.
 */
export class Health {
  readonly #implementation = new HealthImplementation();
  readonly #names: readonly string[];
  readonly #serving = new Map<string, boolean>();

  constructor(serviceNames: readonly string[]) {
    this.#names = ['', ...serviceNames];
    this.setServing(false);
  }

  addTo(server: Server): void {
    this.#implementation.addToServer(server);
  }

  setServing(serving: boolean, latched = serving): void {
    for (const name of this.#names) this.#set(name, serving);
    this.#set('latched', latched);
  }

  /** Writes only changes: each goes to every watcher. */
  #set(name: string, serving: boolean): void {
    if (this.#serving.get(name) === serving) return;
    this.#serving.set(name, serving);
    this.#implementation.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  }
}
