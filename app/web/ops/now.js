// How it is now: the figures, the alerts beside them, and one sentence of both.

import { byId, setText } from '../element.js';
import { people, refusal } from '../words.js';
import { Alerts } from './alerts.js';
import { Figure } from './figure.js';
import { FINE, highest } from './levels.js';
import { Pace } from './pace.js';

const SECONDS = 15;
const WINDOW = '15m';
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

/** `hooks`: ask(panel, window) and alerts(), which throw a Problem; refused(problem), true when that ends it; passed(), from board.js. */
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
    this.#tell('', FINE);
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
      target.fail(refusal(problem));
      return 'failed';
    }
  }

  #beat(known) {
    this.#pulse.dataset.state = known ? 'live' : 'lost';
    const since = this.#answered ? `No answer since ${CLOCK.format(this.#answered)}` : 'No answer';
    setText(this.#pulse, known ? `Live · ${CLOCK.format(this.#answered)}` : since);
  }

  /** The worst in one sentence: what fires, and what has passed a level, here or among the charts. */
  #sum(known) {
    if (!known) return this.#tell('Nothing is known right now', 'bad');
    const figures = this.#figures.filter(([{ name }, { state }]) => name !== 'alerts' && state !== FINE);
    const passed = [...figures.map(([{ title }, { state }]) => [title, state]), ...this.#hooks.passed()];
    const titles = [...new Set(passed.map(([title]) => title))];
    const count = this.#alerts.count;
    const words = [
      this.#alerts.known ? '' : 'which alerts fire is not known',
      count ? `${count} ${count === 1 ? 'alert' : 'alerts'} firing` : '',
      titles.length ? `look at ${people(titles)}` : '',
    ].filter(Boolean);
    const level = highest([...passed.map(([, state]) => state), this.#alerts.known ? this.#alerts.state : 'warn']);
    return this.#tell(capital(words.join('; ')) || 'All is well', level, count + titles.length);
  }

  #tell(text, level, count = 0) {
    setText(this.#summary, text);
    this.#summary.dataset.state = level;
    document.title = `${count ? `(${count}) ` : ''}Operations · Portcullis`;
  }
}

function capital(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
