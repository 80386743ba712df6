// Time left, in words and live.

/** `3 s`, `1 min 5 s`, `2 h 10 min`: whole seconds, rounded up, so that it never says 0 while one still has to wait. */
export function spell(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(minutes / 60)} h`;
}

/** The moment (of performance.now()) that is so many seconds away. */
export function momentIn(seconds) {
  return performance.now() + Math.max(0, seconds) * 1000;
}

/** Calls tick(secondsLeft) at once and whenever the shown second changes, then done() once. Returns a function that stops it. */
export function countDown(moment, tick, done) {
  let timer = 0;
  const step = () => {
    const left = (moment - performance.now()) / 1000;
    if (left <= 0) {
      timer = setTimeout(done); // never before the caller holds the function that stops it
      return;
    }
    tick(left);
    // to the next whole second, so that two counters that are shown at once change together
    timer = setTimeout(step, (left - Math.ceil(left) + 1) * 1000 + 5);
  };
  step();
  return () => clearTimeout(timer);
}

const TODAY = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const LATER = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

/** `until 14:05`, with the date where that is not today. */
export function until(unixSeconds, now = new Date()) {
  const end = new Date(unixSeconds * 1000);
  return `until ${(end.toDateString() === now.toDateString() ? TODAY : LATER).format(end)}`;
}
