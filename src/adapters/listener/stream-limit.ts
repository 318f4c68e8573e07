import type { Http2Session, Http2Stream } from 'node:http2';
import { OverloadedError } from '../../application/errors.js';
import { streamsPerSessionMax } from './limits.js';

/** The calls that each session has in progress. */
const calls = new WeakMap<Http2Session, number>();

/**
 * Counts a stream as a call of its session until it closes.
 *
 * @throws OverloadedError when the session has too many; the stream is not counted
 */
export function limitStream(stream: Http2Stream): void {
  const { session } = stream;
  if (session === undefined) return;
  const inProgress = calls.get(session) ?? 0;
  if (inProgress >= streamsPerSessionMax) throw new OverloadedError('streams of one connection', streamsPerSessionMax);
  calls.set(session, inProgress + 1);
  stream.once('close', () => {
    calls.set(session, (calls.get(session) ?? 1) - 1);
  });
}
