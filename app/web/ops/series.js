// What a panel answered, made ready to be drawn.

const COLOURS = 8;
const NAMED = {
  ...{ accepted: 'good', repeated: 3, throttled: 'warn', refused: 'bad', invalid: 4 },
  ...{ 1: 7, 2: 'good', 3: 3, 4: 'warn', 5: 'bad' }, // an answer's class; codes of more digits have no colour of their own
};

/** The newest value of each series, null where it has none at the newest two moments. */
export function newest({ series }) {
  return series.map(({ values }) => values.at(-1) ?? values.at(-2) ?? null);
}

/** Whether there is anything to draw. */
export function isEmpty({ series }) {
  return !series.some(({ values }) => values.some((value) => value !== null));
}

/** The series that have a value at all, in an order that stays: by name, as numbers where they are numbers. */
export function drawn({ series }) {
  return series
    .filter(({ values }) => values.some((value) => value !== null))
    .sort((one, other) => one.label.localeCompare(other.label, undefined, { numeric: true }));
}

/** Each series on top of those before it. Where all are silent nothing is drawn, else silence counts as nothing. */
export function stack(series) {
  const sums = [];
  return series.map(({ values }) =>
    values.map((value, at) => {
      if (series.every((each) => each.values[at] === null)) return null;
      sums[at] = (sums[at] ?? 0) + (value ?? 0);
      return sums[at];
    }),
  );
}

/** The indices of values without a neighbour, through which no line goes. */
export function lonely(values) {
  const silent = (at) => values[at] === null || values[at] === undefined;
  return [...values.keys()].filter((at) => !silent(at) && silent(at - 1) && silent(at + 1));
}

/** Gives every label the same look for as long as the page is open: a colour, and dashes when the colours are used up. */
export class Looks {
  #given = new Map();

  of(label) {
    const named = NAMED[label];
    if (named) return { colour: `--series-${named}`, dashed: false };
    if (!this.#given.has(label)) this.#given.set(label, this.#given.size);
    const at = this.#given.get(label);
    return { colour: `--series-${(at % COLOURS) + 1}`, dashed: Math.floor(at / COLOURS) % 2 === 1 };
  }
}
