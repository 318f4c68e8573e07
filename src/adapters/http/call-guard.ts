import { createContextKey, type Interceptor } from '@connectrpc/connect';
import type { CallMemory } from '../../application/access/call-memory.js';
import { type Access, anonymous, type Caller } from '../../application/access/access.js';
import type { Logger } from '../../application/ports/logger.js';
import { toConnectError } from './connect-errors.js';

/** The caller of a call. */
export const callerKey = createContextKey<Caller>({ subject: anonymous.subject, certified: false });

/** Where it comes from. */
export const addressKey = createContextKey('');

/** Counts what a call holds in memory; undefined when nothing does. */
export const memoryKey = createContextKey<CallMemory | undefined>(undefined);

/** Lets a call through to its handler only when its caller may make it, and ends a stream that it may not go on with. */
export function guardInterceptor(access: Access, logger: Logger): Interceptor {
  return (next) => async (request) => {
    const caller = request.contextValues.get(callerKey);
    const procedure = `${request.service.typeName}/${request.method.name}`;
    const call = `/${procedure}`;
    if (access.passes(call)) return next(request);
    try {
      access.admit(caller, call);
    } catch (error) {
      throw toConnectError(error, procedure, logger);
    }
    if (!request.stream) return next(request);
    const withdrawn = new AbortController();
    const stopWatching = access.watch({
      caller,
      call,
      end: (reason) => {
        withdrawn.abort(reason);
      },
    });
    request.signal.addEventListener('abort', stopWatching, { once: true });
    return next({ ...request, signal: AbortSignal.any([request.signal, withdrawn.signal]) });
  };
}
