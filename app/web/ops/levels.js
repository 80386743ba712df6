// Whether a value deserves a look. Where `bad` is below `warn`, less is worse.

export const FINE = 'fine';
const WORDS = { warn: 'Look', bad: 'Bad' };
const RANK = { fine: 0, warn: 1, bad: 2 };

/** `bad`, `warn` or `fine`; without levels or a value everything is fine. */
export function state(value, levels) {
  if (!levels || value === null) return FINE;
  const passed = levels.bad < levels.warn ? (level) => value <= level : (level) => value >= level;
  if (passed(levels.bad)) return 'bad';
  return passed(levels.warn) ? 'warn' : FINE;
}

/** The word that stands beside the colour; empty when all is fine. */
export function word(level) {
  return WORDS[level] ?? '';
}

/** Of several newest values the one that a person has to know: the worst, or the largest where nothing is bad or good. */
export function worst(values, levels) {
  const known = values.filter((value) => value !== null);
  if (!known.length) return null;
  return levels && levels.bad < levels.warn ? Math.min(...known) : Math.max(...known);
}

/** The worst of some states. */
export function highest(states) {
  return states.reduce((most, each) => (RANK[each] > RANK[most] ? each : most), FINE);
}
