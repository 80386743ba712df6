// The charts, by group. Those that are looked at are asked for often, the others now and then.

import { element, setText } from '../element.js';
import { refusal } from '../words.js';
import { Card } from './card.js';
import { FINE } from './levels.js';
import { Pace } from './pace.js';

const PACES = { '15m': 15, '6h': 60, '7d': 300 };
const SELDOM = 4; // times the pace, for what is out of sight
const SLACK_MS = 500; // a timer may fire a little early

/** All panels but the figures. `hooks`: ask(panel, window, wanted), which throws a Problem, and refused(problem), true when that ends it. */
export class Board {
  #hooks;
  #cards = [];
  #groups = [];
  #window = '15m';
  #pace = new Pace(PACES['15m'], () => this.#tick());
  #near = new IntersectionObserver((seen) => this.#seen(seen), { rootMargin: '150px' });

  constructor(place, groups, hooks) {
    this.#hooks = hooks;
    place.replaceChildren(...groups.map((group, at) => this.#group(group, at)));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#cards.forEach((card) => card.repaint()));
  }

  /** Shows this window from now on. */
  start(window) {
    this.#window = window;
    for (const card of this.#cards) card.asked = -Infinity;
    this.#pace.start(this.#seconds);
  }

  stop() {
    this.#pace.stop();
  }

  /** The titles of the panels whose newest value has passed a level, and their states. */
  get passed() {
    return this.#cards.filter(({ root, state }) => !root.hidden && state !== FINE).map(({ panel, state }) => [panel.title, state]);
  }

  get #seconds() {
    return PACES[this.#window] ?? 60;
  }

  #group({ title, panels }, at) {
    const cards = panels.map((panel) => new Card(panel));
    const silent = element('p', { className: 'silent hint', hidden: true });
    this.#cards.push(...cards);
    this.#groups.push({ cards, silent });
    for (const card of cards) this.#near.observe(card.root);
    return element(
      'section',
      { className: 'group', 'aria-labelledby': `group-${at}` },
      element('h2', { id: `group-${at}`, className: 'group-title', textContent: title }),
      element('div', { className: 'cards' }, ...cards.map(({ root }) => root)),
      silent,
    );
  }

  async #tick() {
    const now = performance.now();
    const due = ({ asked, near, failed }) => asked + this.#seconds * 1000 * (near || failed ? 1 : SELDOM) - SLACK_MS <= now;
    const wanted = this.#cards.filter(due).sort((one, other) => other.near - one.near);
    await Promise.all(wanted.map((card) => this.#load(card)));
  }

  async #load(card) {
    const window = this.#window;
    const wanted = () => window === this.#window;
    card.asked = performance.now();
    try {
      const content = await this.#hooks.ask(card.panel, window, wanted);
      if (wanted()) card.show(content);
    } catch (problem) {
      if (!this.#hooks.refused(problem) && wanted()) card.fail(`Nothing new: ${refusal(problem)}`);
    }
    this.#tellSilent();
  }

  /** What came into sight is not left with what it showed minutes ago. */
  #seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const card = this.#cards.find(({ root }) => root === target);
      card.near = isIntersecting;
      const late = card.asked > -Infinity && card.asked + this.#seconds * 1000 <= performance.now();
      if (isIntersecting && late) this.#load(card);
    }
  }

  /** One line instead of a row of empty charts. */
  #tellSilent() {
    for (const { cards, silent } of this.#groups) {
      const names = cards.filter(({ empty }) => empty).map(({ panel }) => panel.title);
      silent.hidden = !names.length;
      setText(silent, `Nothing in this time: ${names.join(', ')}.`);
    }
  }
}
