import type { Http2Server, Http2Session } from 'node:http2';

/** Returns the session that one of the servers makes of a connection while `connect` gives it that connection. */
export function sessionFrom(servers: readonly Http2Server[], connect: () => void): Http2Session | undefined {
  const sessions: Http2Session[] = [];
  const take = (session: Http2Session): void => {
    sessions.push(session);
  };
  for (const server of servers) server.on('session', take);
  connect();
  for (const server of servers) server.off('session', take);
  return sessions[0];
}
