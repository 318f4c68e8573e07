import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';

/**
 * `grpc.health.v1.Health` for the server as a whole ('') and for each of its services. Answered to everyone, with or
 * without a certificate: a probe has none.
 */
export class Health {
  readonly #implementation = new HealthImplementation();
  readonly #names: readonly string[];

  constructor(serviceNames: readonly string[]) {
    this.#names = ['', ...serviceNames];
    this.setServing(false);
  }

  addTo(server: Server): void {
    this.#implementation.addToServer(server);
  }

  setServing(serving: boolean): void {
    for (const name of this.#names) this.#implementation.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  }
}
