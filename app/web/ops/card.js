// One panel with its chart, legend and state. What one of them cannot show does not trouble the others.

import { element, setText } from '../element.js';
import { Chart } from './chart.js';
import { FINE, state, word, worst } from './levels.js';
import { Legend } from './legend.js';
import { isEmpty, Looks, newest } from './series.js';
import { Tip } from './tip.js';
import { format } from './units.js';

const TIME = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const DATE = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };

/** The card of a panel; `root` is its element. `near` and `asked` belong to whoever asks for its answers. */
export class Card {
  #panel;
  #badge = element('span', { className: 'badge', hidden: true });
  #figure = element('span', { className: 'card-figure' });
  #note = element('p', { className: 'card-note', hidden: true });
  #place = element('div', { className: 'plot', tabIndex: 0, role: 'slider', 'aria-orientation': 'horizontal' });
  #looks = new Looks();
  #legend;
  #chart;
  #tip;
  #at = null;
  state = FINE;
  near = false;
  failed = false;
  empty = false;
  asked = -Infinity;

  constructor(panel) {
    this.#panel = panel;
    this.#legend = new Legend(panel, this.#looks);
    this.#tip = new Tip(this.#place);
    this.#chart = new Chart({ place: this.#place, panel, looks: this.#looks, pointed: (at) => this.#pointed(at) });
    this.#place.setAttribute('aria-label', `${panel.title}, over time`);
    this.#place.addEventListener('keydown', (event) => this.#pressed(event));
    this.#place.addEventListener('blur', () => this.#chart.point(null));
    this.root = element(
      'article',
      { className: 'card', hidden: true, 'data-panel': panel.name, 'aria-labelledby': `card-${panel.name}` },
      element('header', {}, element('h3', { id: `card-${panel.name}`, textContent: panel.title }), this.#badge, this.#figure),
      element('p', { className: 'hint', textContent: panel.tells }),
      this.#place,
      this.#legend.root,
      this.#note,
    );
  }

  get panel() {
    return this.#panel;
  }

  /** Shows an answer. A card without anything to draw is not seen. */
  show(answer) {
    this.failed = false;
    this.#note.hidden = true;
    this.root.classList.remove('stale');
    this.empty = isEmpty(answer);
    this.root.hidden = this.empty;
    if (this.empty) return;
    this.#place.hidden = false;
    this.#chart.show(answer);
    this.#legend.show(this.#chart.series, answer.left_out);
    this.#mark(state(worst(newest(answer), this.#panel.levels), this.#panel.levels));
    this.#say();
  }

  /** Says why there is nothing new. What was there stays, pale. */
  fail(sentence) {
    this.failed = true;
    this.empty = false;
    this.root.hidden = false;
    this.root.classList.add('stale');
    this.#place.hidden = !this.#chart.series.length;
    this.#note.hidden = false;
    setText(this.#note, sentence);
  }

  repaint() {
    this.#chart.repaint();
  }

  #mark(level) {
    this.state = level;
    this.root.dataset.state = level;
    this.#badge.hidden = level === FINE;
    this.#badge.className = `badge ${level === 'bad' ? 'danger' : 'warn'}`;
    setText(this.#badge, word(level));
  }

  #pointed(at) {
    if (at === this.#at) return;
    this.#at = at;
    this.#say();
  }

  /** What the moment that is pointed at was like, or how it is now. */
  #say() {
    const { times } = this.#chart;
    const at = this.#at !== null && this.#at < times.length ? this.#at : null;
    const moment = at ?? times.length - 1;
    const rows = this.#legend.rows(moment);
    this.#legend.at(at);
    setText(this.#figure, this.#total(moment));
    this.#place.setAttribute('aria-valuemin', '0');
    this.#place.setAttribute('aria-valuemax', String(times.length - 1));
    this.#place.setAttribute('aria-valuenow', String(moment));
    const values = rows.map(([, label, value]) => `${label} ${value}`.trim()).join(', ');
    this.#place.setAttribute('aria-valuetext', `${this.#when(moment)}: ${values || 'nothing'}`);
    if (at === null || !this.#place.matches(':hover, :focus-visible')) return this.#tip.hide();
    return this.#tip.show(this.#when(moment), rows, this.#chart.leftOf(moment));
  }

  /** The sum of what is stacked, or the value of the only line. */
  #total(moment) {
    const { series } = this.#chart;
    if (this.#panel.kind !== 'stacked' && series.length > 1) return '';
    const values = series.map(({ values: each }) => each[moment] ?? null).filter((value) => value !== null);
    return values.length ? format(values.reduce((sum, value) => sum + value, 0), this.#panel.unit) : '';
  }

  #when(moment) {
    const { times } = this.#chart;
    const long = times.at(-1) - times[0] > 86_400;
    return (long ? DATE : TIME).format(times[moment] * 1000);
  }

  #pressed(event) {
    if (event.key === 'Escape') return this.#chart.point(null);
    const step = STEPS[event.key];
    if (step === undefined) return undefined;
    event.preventDefault();
    const last = this.#chart.times.length - 1;
    return this.#chart.point(Math.min(last, Math.max(0, (this.#at ?? last) + step)));
  }
}
