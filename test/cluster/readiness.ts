import { get, type IncomingMessage } from 'node:http';
import { get as getSecurely } from 'node:https';
import type { ClientTls } from '../../src/client/index.js';
import type { LiveNode } from './live-cluster.js';

/** Resolves with the status code of `/readyz`. */
export function readyz({ httpAddr }: LiveNode, tls: ClientTls | undefined): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const onAnswer = (response: IncomingMessage): void => {
      response.resume();
      resolve(response.statusCode);
    };
    const asked =
      tls === undefined
        ? get(`http://${httpAddr}/readyz`, onAnswer)
        : getSecurely(`https://${httpAddr}/readyz`, { ...tls }, onAnswer);
    asked.on('error', reject);
  });
}
