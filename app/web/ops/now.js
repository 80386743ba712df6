// How it is now: the figures, the alerts beside them, and one sentence of both.

import { byId, setText } from '../element.js';
import { answer } from '../words.js';
import { Alerts } from './alerts.js';
import { Figure } from './figure.js';
import { highest } from './levels.js';
import { Pace } from './pace.js';

const SECONDS = 15;
const WINDOW = '15m';
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** `hooks`: ask(panel, window) and alerts(), which throw a Problem, and refused(problem), true when that ends it. */
export class Now {
  #hooks;
  #figures;
  #alerts = new Alerts(byId('alerts'));
  #summary = byId('summary');
  #pulse = byId('pulse');
  #pace = new Pace(SECONDS, () => this.#tick());
  #answered = null;

  constructor(panels, hooks) {
    this.#hooks = hooks;
    this.#figures = panels.map((panel) => [panel, new Figure(panel)]);
    byId('figures').replaceChildren(...this.#figures.map(([, { root }]) => root));
  }

  start() {
    this.#pulse.hidden = false;
    this.#pace.start();
  }

  stop() {
    this.#pace.stop();
    this.#pulse.hidden = true;
    this.#tell('', 'fine');
  }

  async #tick() {
    const asked = this.#figures.map(([panel, figure]) => this.#load(() => this.#hooks.ask(panel, WINDOW), figure));
    const all = await Promise.all([...asked, this.#load(async () => (await this.#hooks.alerts()).alerts, this.#alerts)]);
    if (all.includes('over')) return;
    const known = all.includes('shown');
    if (known) this.#answered = new Date();
    this.#beat(known);
    this.#sum(known);
  }

  /** `shown`, `failed`, or `over` when nothing more is to be asked. */
  async #load(ask, target) {
    try {
      target.show(await ask());
      return 'shown';
    } catch (problem) {
      if (this.#hooks.refused(problem)) return 'over';
      target.fail(answer(problem));
      return 'failed';
    }
  }

  #beat(known) {
    this.#pulse.dataset.state = known ? 'live' : 'lost';
    const since = this.#answered ? `No answer since ${CLOCK.format(this.#answered)}` : 'No answer';
    setText(this.#pulse, known ? `Live · ${CLOCK.format(this.#answered)}` : since);
  }

  #sum(known) {
    const passed = this.#figures.filter(([{ name }, { state }]) => name !== 'alerts' && state !== 'fine').length;
    const count = this.#alerts.count;
    const words = [
      count ? `${count} ${count === 1 ? 'alert' : 'alerts'} firing` : '',
      passed ? `${passed} ${passed === 1 ? 'figure deserves' : 'figures deserve'} a look` : '',
    ].filter(Boolean);
    if (!known) return this.#tell('Nothing is known right now', 'bad');
    const level = highest([count ? 'warn' : 'fine', ...this.#figures.map(([, { state }]) => state)]);
    return this.#tell(words.join(', ') || 'All is well', level, count + passed);
  }

  #tell(text, level, count = 0) {
    setText(this.#summary, text);
    this.#summary.dataset.state = level;
    document.title = `${count ? `(${count}) ` : ''}Operations · Portcullis`;
  }
}
