import type { ServerUnaryCall } from '@grpc/grpc-js';

/** The part of a grpc-js call that every kind of call has. */
type Call = Pick<ServerUnaryCall<Buffer, Buffer>, 'getDeadline' | 'cancelled'> & {
  once(event: 'cancelled', listener: () => void): unknown;
};

/** Also the reason of the abort that follows the end of every call, which nobody waits for any more. */
const callEnded = new DOMException('the call is over', 'AbortError');
const deadlinePassed = new DOMException('the deadline passed', 'TimeoutError');

/**
 * A signal that aborts when the call is over: cancelled by the client, disconnected, past its deadline (grpc-js has
 * then sent DEADLINE_EXCEEDED already), ended by a shutdown, or simply answered.
 */
export function callSignal(call: Call): AbortSignal {
  const controller = new AbortController();
  if (call.cancelled) controller.abort(callEnded);
  else
    call.once('cancelled', () => {
      const deadline = call.getDeadline();
      const passed = Date.now() >= (deadline instanceof Date ? deadline.getTime() : deadline);
      controller.abort(passed ? deadlinePassed : callEnded);
    });
  return controller.signal;
}
