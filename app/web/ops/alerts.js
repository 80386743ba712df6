// The alerts that are firing: what each says, since when, and which page of the runbook helps.

import { spell } from '../countdown.js';
import { element } from '../element.js';
import { FINE, highest } from './levels.js';

const WORDS = { page: 'Page', ticket: 'Ticket' };
const TONES = { page: 'danger', ticket: 'warn' };
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

/** The list in this place. */
export class Alerts {
  #place;
  count = 0;
  state = FINE;
  /** Whether what is shown is how it is. */
  known = false;

  constructor(place) {
    this.#place = place;
  }

  /** Shows them, what cannot wait first, then what began last. */
  show(alerts) {
    this.known = true;
    this.count = alerts.length;
    this.state = highest(alerts.map(({ severity }) => (severity === 'page' ? 'bad' : 'warn')));
    const order = [...alerts].sort((one, other) => rank(one) - rank(other) || seconds(other.since) - seconds(one.since));
    const list = element('ul', { className: 'alerts' }, ...order.map(entry));
    this.#place.replaceChildren(alerts.length ? list : element('p', { className: 'nothing', textContent: 'No alert is firing.' }));
  }

  fail(sentence) {
    this.known = false;
    this.count = 0;
    this.state = FINE;
    this.#place.replaceChildren(element('p', { className: 'nothing', textContent: sentence }));
  }
}

function entry({ name, severity, part, where, summary, runbook, since }) {
  const badge = element('span', { className: `badge ${TONES[severity] ?? 'warn'}`, textContent: WORDS[severity] ?? severity });
  const facts = [part, ...where, since ? ago(seconds(since)) : ''].filter(Boolean).join(' · ');
  return element(
    'li',
    { className: 'alert', 'data-severity': severity, 'data-alert': name },
    element('p', { className: 'alert-head' }, badge, element('strong', { textContent: summary || name })),
    element('p', { className: 'hint' }, `${name} · ${facts}`),
    runbook ? page(runbook) : null,
  );
}

/** A runbook is a page of the repository; only where it is an address of its own can one go there from here. */
function page(runbook) {
  const name = runbook.split('/').at(-1);
  const there = /^https:\/\//.test(runbook);
  const link = there
    ? element('a', { href: runbook, target: '_blank', rel: 'noreferrer', textContent: name })
    : element('code', { textContent: runbook });
  return element('p', { className: 'runbook' }, 'What to do: ', link);
}

function rank({ severity }) {
  return severity === 'page' ? 0 : 1;
}

/** Unix seconds, whichever way the moment was written. */
function seconds(since) {
  return typeof since === 'number' ? since : Date.parse(since) / 1000;
}

function ago(moment) {
  const past = Date.now() / 1000 - moment;
  if (past > 86_400) return `since ${DAY.format(moment * 1000)}`;
  return `for ${past < 60 ? spell(past) : spell(Math.floor(past / 60) * 60)}`;
}
