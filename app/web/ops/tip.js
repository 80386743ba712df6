// All values of the moment at which the pointer is, beside it. For the eye: the chart itself says them to a screen reader.

import { element } from '../element.js';
import { swatch } from './legend.js';

const ROWS = 14;
const GAP = 12;

/** A small sheet over one chart's place. */
export class Tip {
  #place;
  #root = element('div', { className: 'tip', 'aria-hidden': 'true', hidden: true });

  constructor(place) {
    this.#place = place;
    place.append(this.#root);
  }

  /** Shows these rows of a legend under this title, beside `left` (pixels), on whichever side there is room. */
  show(title, rows, left) {
    const over = rows.length - ROWS;
    const lines = rows.slice(0, ROWS).map(([look, label, value]) =>
      element('li', {}, swatch(look), element('span', { className: 'legend-name', textContent: label }), element('b', { textContent: value })),
    );
    this.#root.replaceChildren(
      element('p', { textContent: title }),
      element('ul', {}, ...lines),
      ...(over > 0 ? [element('p', { className: 'hint', textContent: `and ${over} more` })] : []),
    );
    this.#root.hidden = false;
    const room = this.#place.clientWidth;
    const width = this.#root.offsetWidth;
    const right = left + GAP + width <= room + GAP;
    this.#root.style.left = `${right ? left + GAP : Math.max(-GAP, left - GAP - width)}px`;
  }

  hide() {
    this.#root.hidden = true;
  }
}
