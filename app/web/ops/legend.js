// What the lines of a chart are called, and their values: the newest ones, or those of the moment that is pointed at.

import { button, element, setText } from '../element.js';
import { format } from './units.js';

const FEW = 6;

/** The legend of one chart; `root` is its element, `rows(at)` what it says of a moment. */
export class Legend {
  #unit;
  #looks;
  #title;
  #list = element('ul', { className: 'legend' });
  #more = button('link legend-more', '', () => this.#toggle());
  #rest = element('p', { className: 'hint', hidden: true });
  #series = [];
  #values = [];
  #open = false;

  /** `title` is what a lone series is called that has no name of its own. */
  constructor({ unit, title }, looks) {
    this.#unit = unit;
    this.#title = title;
    this.#looks = looks;
    this.#more.hidden = true;
    this.root = element('div', {}, this.#list, this.#more, this.#rest);
  }

  /** Lists these series, those with the highest values first; `leftOut` are not even drawn. */
  show(series, leftOut = 0) {
    this.#series = [...series].sort((one, other) => peak(other) - peak(one));
    this.#values = this.#series.map(() => element('span', { className: 'legend-value' }));
    const named = this.#series.length > 1 || this.#series[0]?.label !== this.#title;
    this.#list.replaceChildren(...(named ? this.#series.map((each, at) => this.#row(each, at)) : []));
    this.#rest.hidden = !leftOut;
    setText(this.#rest, `${leftOut} more are not drawn.`);
    this.#fold();
    this.at(null);
  }

  /** Says the values of this moment, of the newest where none is pointed at. */
  at(index) {
    this.#series.forEach((each, at) => setText(this.#values[at], this.#said(each, index)));
  }

  /** `[look, label, value]` of every series that has a value at this moment, the highest first. */
  rows(index) {
    return this.#series
      .filter(({ values }) => (values[index] ?? null) !== null)
      .sort((one, other) => other.values[index] - one.values[index])
      .map((each) => [this.#looks.of(each.label), each.label, this.#said(each, index)]);
  }

  #said({ values }, index) {
    return format(index === null ? (values.at(-1) ?? values.at(-2)) : values[index], this.#unit);
  }

  #row({ label }, at) {
    const name = element('span', { className: 'legend-name', textContent: label, title: label });
    return element('li', {}, swatch(this.#looks.of(label)), name, this.#values[at]);
  }

  #toggle() {
    this.#open = !this.#open;
    this.#fold();
  }

  #fold() {
    const rows = [...this.#list.children];
    const over = rows.length - FEW;
    rows.forEach((row, at) => (row.hidden = !this.#open && over > 1 && at >= FEW));
    this.#more.hidden = over <= 1;
    this.#more.setAttribute('aria-expanded', String(this.#open));
    setText(this.#more, this.#open ? 'Show fewer' : `Show ${over} more`);
  }
}

/** A short piece of the line, as it is drawn. */
export function swatch({ colour, dashed }) {
  const made = element('span', { className: 'swatch', 'data-dashed': String(dashed), 'aria-hidden': 'true' });
  made.style.setProperty('--swatch', `var(${colour})`);
  return made;
}

function peak({ values }) {
  return Math.max(...values.filter((value) => value !== null));
}
