// How long to wait before connecting again. Pure: time and chance come from the caller.

const FIRST_SECONDS = 0.5;
const LONGEST_SECONDS = 30;
const HINT_SPREAD_SECONDS = 0.5;

/**
 * Seconds before the attempt-th try in a row (0 is the first).
 *
 * Doubles up to 30 s, with half of it drawn by lot, so that the clients of one server do not come back in step. With the
 * server's hint (its `retry_after`) it is never sooner than that.
 */
export function delaySeconds(attempt, hint = 0, random = Math.random) {
  const ceiling = Math.min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** Math.min(attempt, 16));
  const drawn = ceiling * (0.5 + 0.5 * random());
  return hint > 0 ? Math.max(drawn, hint + HINT_SPREAD_SECONDS * random()) : drawn;
}
