// One chart of uPlot: lines, or areas on top of each other. It knows values, not where they come from.

import uPlot from '../vendor/uplot/uPlot.esm.js';
import { drawn, lonely, stack } from './series.js';
import { format, steps } from './units.js';

const HEIGHT = 136;
const AXIS_FONT = '11px system-ui, "Noto Sans", "DejaVu Sans", sans-serif';
const LEVELS = [
  ['warn', '--level-warn'],
  ['bad', '--level-bad'],
];
const HOUR = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric' });

/** The chart of a panel in this place. `pointed(index)` hears which moment the pointer or a key is at, null for none. */
export class Chart {
  #place;
  #panel;
  #looks;
  #pointed;
  #plot = null;
  #series = [];
  #times = [];

  constructor({ place, panel, looks, pointed }) {
    this.#place = place;
    this.#panel = panel;
    this.#looks = looks;
    this.#pointed = pointed;
    new ResizeObserver(() => this.#fit()).observe(place);
  }

  get series() {
    return this.#series;
  }

  get times() {
    return this.#times;
  }

  /** Shows an answer of the panel. */
  show(answer) {
    const before = this.#series.map(({ label }) => label).join('\n');
    this.#series = drawn(answer);
    this.#times = answer.times;
    const lines = this.#panel.kind === 'stacked' ? stack(this.#series) : this.#series.map(({ values }) => values);
    const data = [this.#times, ...lines];
    if (this.#plot && before === this.#series.map(({ label }) => label).join('\n')) return this.#plot.setData(data);
    return this.#draw(data);
  }

  /** Draws again, in the colours that hold now. */
  repaint() {
    this.#plot?.redraw(false, true);
  }

  /** Puts the mark at this moment, or takes it away. */
  point(index) {
    if (!this.#plot) return;
    const left = index === null ? -10 : this.#plot.valToPos(this.#times[index], 'x');
    this.#plot.setCursor({ left, top: index === null ? -10 : 1 }, true, true);
  }

  /** Where on the page this moment is, in pixels from the place's left edge. */
  leftOf(index) {
    const { left } = this.#plot.over.getBoundingClientRect();
    return left - this.#place.getBoundingClientRect().left + this.#plot.valToPos(this.#times[index], 'x');
  }

  #draw(data) {
    this.#plot?.destroy();
    this.#plot = new uPlot(this.#options(), data, this.#place);
  }

  #fit() {
    const width = this.#place.clientWidth;
    if (this.#plot && width && width !== this.#plot.width) this.#plot.setSize({ width, height: HEIGHT });
  }

  #options() {
    return {
      width: this.#place.clientWidth || 300,
      height: HEIGHT,
      padding: [8, 18, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: false, y: false, setScale: false },
        points: { size: 6 },
        sync: { key: 'ops', scales: ['x', null], setSeries: false },
      },
      scales: { y: { range: (_, low, high) => range(low, high, this.#panel) } },
      axes: [this.#timeAxis(), this.#valueAxis()],
      series: [{}, ...this.#series.map((each) => this.#line(each))],
      bands: this.#panel.kind === 'stacked' ? this.#series.slice(1).map((_, at) => ({ series: [at + 2, at + 1] })) : [],
      hooks: { setCursor: [({ cursor: { idx } }) => this.#pointed(idx ?? null)], drawClear: [(plot) => this.#levels(plot)] },
    };
  }

  #line({ label }) {
    const { colour, dashed } = this.#looks.of(label);
    const paint = (share) => () => mixed(token(colour), share);
    return {
      label,
      width: 1.5,
      stroke: paint(1),
      ...(dashed && { dash: [5, 3] }),
      ...(this.#panel.kind === 'stacked' && { fill: paint(0.28) }),
      points: { size: 4, show: true, filter: (plot, at) => lonely(plot.data[at]) },
    };
  }

  #timeAxis() {
    const ticks = { stroke: () => token('--grid'), width: 1, size: 4 };
    const label = (seconds, step) => (step >= 86_400 ? DAY : HOUR).format(seconds * 1000);
    const values = (_, splits, __, ___, step) => splits.map((seconds) => label(seconds, step));
    return { stroke: () => token('--muted'), font: AXIS_FONT, size: 26, space: 64, grid: { show: false }, ticks, values };
  }

  #valueAxis() {
    const incrs = steps(this.#panel.unit);
    return {
      stroke: () => token('--muted'),
      font: AXIS_FONT,
      size: 58,
      space: 34,
      gap: 4,
      grid: { stroke: () => token('--grid'), width: 1 },
      ticks: { show: false },
      values: (_, splits) => splits.map((value) => format(value, this.#panel.unit)),
      ...(incrs && { incrs }),
    };
  }

  /** Where a value begins to deserve a look: below the lines, so that it hides none. */
  #levels(plot) {
    if (!this.#panel.levels) return;
    const { ctx, bbox } = plot;
    ctx.save();
    for (const [name, colour] of LEVELS) {
      const value = this.#panel.levels[name];
      if (value < plot.scales.y.min || value > plot.scales.y.max) continue;
      const top = Math.round(plot.valToPos(value, 'y', true)) + 0.5;
      ctx.strokeStyle = token(colour);
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, top);
      ctx.lineTo(bbox.left + bbox.width, top);
      ctx.stroke();
    }
    ctx.restore();
  }
}

/** From nothing up, so that heights compare; a share that is nearly whole may use the whole. */
function range(low, high, { unit }) {
  if (low === null || high === null) return [0, 1];
  const top = unit === 'share' && high > 0.5 ? 1 : high * 1.1;
  return [Math.min(0, low * 1.1), top || 1];
}

function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function mixed(colour, share) {
  return share === 1 ? colour : `color-mix(in srgb, ${colour} ${share * 100}%, transparent)`;
}
