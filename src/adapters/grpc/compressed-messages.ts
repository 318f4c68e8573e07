import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';

/**
 * Has the compressed messages of a call inflated one after the other. grpc-js inflates all that came in one frame at
 * once, wanted or not: 16 KiB became 16 MiB, and a session of a hundred such calls more than a gigabyte.
 *
 * Answers what is to be called when a message was taken; undefined where nothing is compressed.
 */
export function inflateInTurn(call: ServerInterceptingCallInterface): (() => void) | undefined {
  const inflate: unknown = Reflect.get(call, 'decompressMessage');
  if (Reflect.get(call, 'incomingEncoding') === 'identity' || typeof inflate !== 'function') return undefined;
  const waiting: (() => void)[] = [];
  let busy = false;
  const inTurn = (message: Buffer, encoding: string): Promise<unknown> =>
    new Promise((resolve) => {
      const start = (): void => {
        resolve(Reflect.apply(inflate, call, [message, encoding]));
      };
      if (busy) waiting.push(start);
      else start();
      busy = true;
    });
  Reflect.set(call, 'decompressMessage', inTurn);
  return () => {
    const next = waiting.shift();
    busy = next !== undefined;
    next?.();
  };
}
