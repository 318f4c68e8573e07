const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? '');
}

export const startPageHeaders: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

/** What a browser finds at `/ui`: what this is, and how to put a first record in. */
export function startPage(nodeName: string, authority: string): string {
  const name = escapeHtml(nodeName);
  const host = escapeHtml(authority);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>golog · ${name}</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem; }
  pre { padding: 1rem; border: 1px solid #8886; border-radius: 6px; overflow-x: auto; }
  :root { color-scheme: light dark; }
</style>
<h1>golog</h1>
<p>This is node <b>${name}</b> of a commit log: records go in at the end, each gets the next offset once it is safely
on disk, and any reader can read from any offset on.</p>
<p>Append a record, then read it back:</p>
<pre>curl -X POST ${host} -d '{"record": {"value": "AA"}}'
curl ${host}/?offset=0</pre>
<p>The same port speaks Connect, gRPC-Web and gRPC (<code>log.v1.Log</code>, <code>golog.v1.LogService</code>).
Its health: <a href="/healthz">/healthz</a>, <a href="/readyz">/readyz</a>.</p>
</html>
`;
}
