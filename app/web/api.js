// Requests to the HTTP API. Every refusal arrives as one kind of error, whoever refused: the app, the edge or the network.

const TIMEOUT_MS = 8_000; // an answer that was lost with a network is given up before a person gives up

/** Why a request was refused. `reason` is a word of docs/reasons.md, or `unreachable` when nobody answered. */
export class Problem extends Error {
  constructor({ status, reason, detail = '', retryAfter = null, limit = null, requestId = '' }) {
    super(detail || reason);
    this.name = 'Problem';
    Object.assign(this, { status, reason, detail, retryAfter, limit, requestId });
  }
}

/** The answer's JSON (null without a body); throws Problem. */
export async function request(method, path, body) {
  const answer = await send(method, path, body);
  const text = await answer.text().catch(() => '');
  const content = parse(text);
  if (answer.ok) return content;
  throw problemOf(answer, content ?? {});
}

async function send(method, path, body) {
  const options = {
    method,
    credentials: 'same-origin',
    cache: 'no-store',
    redirect: 'error',
    headers: { Accept: 'application/json' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  };
  if (body !== undefined) {
    options.headers['Content-Type'] = 'application/json';
    options.body = JSON.stringify(body);
  }
  try {
    return await fetch(path, options);
  } catch {
    throw new Problem({ status: 0, reason: 'unreachable' });
  }
}

function parse(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null; // an edge in front of ours may answer with a page of its own
  }
}

function problemOf(answer, content) {
  const header = Number.parseFloat(answer.headers.get('Retry-After') ?? '');
  return new Problem({
    status: answer.status,
    reason: typeof content.reason === 'string' ? content.reason : fallbackReason(answer.status),
    detail: typeof content.detail === 'string' ? content.detail : '',
    retryAfter: [content.retry_after, header].find((value) => Number.isFinite(value)) ?? null,
    limit: typeof content.limit === 'string' ? content.limit : null,
    requestId: answer.headers.get('X-Request-Id') ?? '',
  });
}

function fallbackReason(status) {
  if (status === 429) return 'rate_limited';
  return status >= 500 ? 'unreachable' : 'invalid';
}
