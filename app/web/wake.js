// Noticing that the page was asleep: hidden, frozen, on a machine that slept, or without a network.

const TICK_MS = 2000;
const JUMP_MS = 5000; // a tick that comes this late was not only waiting for other work

/** Calls `woke()` whenever the page may have missed something. */
export function watchForSleep(woke) {
  document.addEventListener('visibilitychange', () => document.hidden || woke());
  document.addEventListener('resume', woke);
  addEventListener('pageshow', (event) => event.persisted && woke());
  addEventListener('online', woke);
  let last = Date.now(); // unlike performance.now() it goes on while the machine sleeps
  setInterval(() => {
    const slept = Date.now() - last > TICK_MS + JUMP_MS;
    last = Date.now();
    if (slept && !document.hidden) woke();
  }, TICK_MS);
}
