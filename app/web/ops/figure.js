// One big figure: the newest value of a panel, a word when it deserves a look, and how it came to be.

import { element, setText } from '../element.js';
import { FINE, state, word, worst } from './levels.js';
import { newest } from './series.js';
import { format, parts } from './units.js';

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 100;
const HEIGHT = 20;
const FEWEST = 4; // fewer values are no line

/** The figure of a panel of kind `stat`; `root` is its element. */
export class Figure {
  #panel;
  #value = element('span', { className: 'figure-value', textContent: '…' });
  #unit = element('span', { className: 'figure-unit' });
  #badge = element('span', { className: 'badge', hidden: true });
  #about = element('p', { className: 'figure-about' });
  #line = document.createElementNS(SVG, 'path');
  state = FINE;

  constructor(panel) {
    this.#panel = panel;
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('class', 'spark');
    svg.setAttribute('aria-hidden', 'true');
    svg.append(this.#line);
    this.root = element(
      'li',
      { className: 'figure', title: panel.tells, 'data-panel': panel.name, 'data-state': FINE },
      element('h3', { textContent: panel.title }),
      element('p', { className: 'figure-row' }, element('span', {}, this.#value, ' ', this.#unit), this.#badge),
      this.#about,
      svg,
      element('p', { className: 'visually-hidden', textContent: panel.tells }),
    );
  }

  /** Shows an answer of the panel: of several series the one that matters most. */
  show(answer) {
    const values = newest(answer);
    const value = worst(values, this.#panel.levels);
    const one = answer.series[values.indexOf(value)] ?? null;
    const [figure, unit] = parts(value, this.#panel.unit);
    setText(this.#value, figure);
    setText(this.#unit, unit);
    this.#tell(value === null ? 'No data' : answer.series.length > 1 && value ? one.label : '');
    this.#mark(state(value, this.#panel.levels));
    this.#line.setAttribute('d', one ? path(one.values) : '');
  }

  /** Says that the value is not known, rather than go on with an old one. */
  fail(sentence) {
    setText(this.#value, format(null));
    setText(this.#unit, '');
    this.#tell(sentence);
    this.#mark(FINE);
    this.#line.setAttribute('d', '');
  }

  #tell(text) {
    setText(this.#about, text);
  }

  #mark(level) {
    this.state = level;
    this.root.dataset.state = level;
    this.#badge.hidden = level === FINE;
    this.#badge.className = `badge ${level === 'bad' ? 'danger' : 'warn'}`;
    setText(this.#badge, word(level));
  }
}

/** A line through the values, from the least to the most of them; level where they are all one. */
function path(values) {
  const known = values.filter((value) => value !== null);
  if (known.length < FEWEST) return '';
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const top = (value) => (high === low ? HEIGHT - 2 : HEIGHT - 2 - ((value - low) / (high - low)) * (HEIGHT - 4));
  const left = (at) => (at / Math.max(1, values.length - 1)) * WIDTH;
  let pen = 'M';
  return values
    .map((value, at) => {
      if (value === null) {
        pen = 'M';
        return '';
      }
      const step = `${pen}${left(at).toFixed(1)} ${top(value).toFixed(1)}`;
      pen = 'L';
      return step;
    })
    .join('');
}
