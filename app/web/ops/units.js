// Values in a person's words: `12 ms` for 0.0123 seconds, `1.5 MiB` for 1572864 bytes.

const NOTHING = '–';
const SECONDS = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
  [1, 's'],
  [1e-3, 'ms'],
  [1e-6, 'µs'],
];
const SHOWN_FROM = { d: 2 * 86_400, h: 2 * 3_600, min: 120 }; // 90 s say more than 1.5 min
const BYTES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const THOUSANDS = ['', 'k', 'M', 'G'];

const FORMATS = {
  count: number,
  per_second: (value) => `${number(value)}/s`,
  seconds,
  bytes,
  bytes_per_second: (value) => `${bytes(value)}/s`,
  share,
};

/** The value with its unit (a word of monitoring/panel.py); a dash where there is none. */
export function format(value, unit) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  return (FORMATS[unit] ?? number)(value).replace('-', '−');
}

/** The same, whose unit stands apart: `['12', 'ms']`. */
export function parts(value, unit) {
  const [, figure, rest] = /^([−\d.]+|\D+)\s?(.*)$/.exec(format(value, unit));
  return [figure, rest];
}

/** The distances at which an axis of this unit may have its lines; null for the usual ones. */
export function steps(unit) {
  if (unit.startsWith('bytes')) return Array.from({ length: 50 }, (_, power) => 2 ** power);
  if (unit === 'count') return Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();
  return null;
}

function number(value) {
  if (value !== 0 && Math.abs(value) < 0.01) return '<0.01';
  let [scaled, at] = [value, 0];
  while (Math.abs(scaled) >= 9_999.5 || (at > 0 && Math.abs(scaled) >= 999.5)) [scaled, at] = [scaled / 1000, at + 1];
  return `${digits(scaled)}${THOUSANDS[at] ?? `e${3 * at}`}`;
}

function seconds(value) {
  if (value === 0) return '0 s';
  const size = Math.abs(value);
  const [unit, name] = SECONDS.find(([from, word]) => size >= (SHOWN_FROM[word] ?? from)) ?? SECONDS.at(-1);
  return `${digits(value / unit)} ${name}`;
}

function bytes(value) {
  const size = Math.abs(value);
  const at = size < 1 ? 0 : Math.min(BYTES.length - 1, Math.floor(Math.log2(size) / 10));
  return `${digits(value / 1024 ** at)} ${BYTES[at]}`;
}

function share(value) {
  const percent = value * 100;
  return percent !== 0 && Math.abs(percent) < 0.01 ? '<0.01 %' : `${digits(percent)} %`;
}

/** Three digits that say something, no zeros behind them. */
function digits(value) {
  const size = Math.abs(value);
  const places = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return String(Number(value.toFixed(places)));
}
