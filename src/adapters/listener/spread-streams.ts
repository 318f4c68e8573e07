import { constants, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { Writable } from 'node:stream';
import { StreamScheduler, type StreamSchedulerOptions } from '../../application/access/stream-scheduler.js';

/** What the unsent writes of a lost stream fail with. */
const streamLost = new Error('the stream ended before all was sent');

interface Begun {
  /** The arguments of the event. */
  readonly event: readonly [ServerHttp2Stream, ...unknown[]];
  readonly address: string;
}

type End = () => void;

/** Calls that are lost end for so long in one turn of the event loop. */
const endsTurnMs = 3;

const nowMs = (): number => performance.now();

/**
 * Spreads what many calls do when they end at once. There are no more of them than streams that began. The newest have
 * calls that wait for memory. If the oldest ended first, what they held would go to those, which read for nobody.
 */
export function spreadEnds(): StreamScheduler<End> {
  return new StreamScheduler<End>(
    { turnMs: endsTurnMs, alwaysWait: true, waitingPerAddressMax: Infinity, newestFirst: true },
    (end) => {
      end();
    },
    setImmediate,
    nowMs,
  );
}

/**
 * Makes the server begin streams for only so long in one turn of the event loop, and the others later. Ends the session
 * of a stream whose address has too many waiting. Spreads `close` of lost streams likewise: when a session ends, all of
 * its streams are lost at once, and what their calls then do takes a tenth of a millisecond or more each. To be called
 * before the server has a session.
 */
export function spreadStreams(server: Http2Server, options: StreamSchedulerOptions): void {
  const listeners = server.listeners('stream');
  const ends = spreadEnds();
  const serve = ({ event, address }: Begun): void => {
    const [stream] = event;
    if (stream.destroyed) return;
    deferClose(stream, (end) => ends.enter(end, address));
    for (const listener of listeners) Reflect.apply(listener, server, event);
  };
  const begins = new StreamScheduler(options, serve, setImmediate, nowMs);
  server.removeAllListeners('stream').on('stream', (...event) => {
    const [stream] = event;
    const { session } = stream;
    // It may fail while it waits.
    stream.on('error', () => undefined);
    if (session === undefined || session.destroyed) return;
    const address = String(session.socket.remoteAddress);
    if (begins.enter({ event, address }, address)) return;
    session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  });
}

/**
 * Makes a stream that is destroyed before all of its response is sent emit `close` when `defer` calls back. One that was
 * aborted has not ended its response, though Node has finished it.
 */
function deferClose(stream: ServerHttp2Stream, defer: (end: End) => void): void {
  const destroy = stream._destroy.bind(stream);
  stream._destroy = (error, callback) => {
    if (stream.writableFinished && !stream.aborted) {
      destroy(error, callback);
      return;
    }
    shareWriteError(stream);
    destroy(error, (failure) => {
      defer(() => {
        callback(failure);
      });
    });
  };
}

/**
 * Makes all unsent writes of a stream that is being destroyed fail with one error. Node has no option for this: it makes
 * an error with a stack for each write, and there may be thousands for one stream, unless the state says why it failed.
 */
function shareWriteError(stream: Writable): void {
  const state: unknown = Reflect.get(stream, '_writableState');
  if (typeof state === 'object' && state !== null && stream.errored === null) Reflect.set(state, 'errored', streamLost);
}
