// How much time the charts show: one of a few, chosen by pointer or arrow keys, remembered for this tab.

import { element } from '../element.js';
import { Memory } from '../memory.js';

const WORDS = { '15m': '15 min', '6h': '6 h', '7d': '7 d' };
const KEY = 'window';

/** Radio buttons in this place; `choose(window)` hears what is chosen. */
export class Windows {
  #memory = new Memory('ops');

  constructor(place, windows, choose) {
    const kept = this.#memory.read(KEY, windows[0]);
    this.chosen = windows.includes(kept) ? kept : windows[0];
    place.replaceChildren(...windows.map((each) => this.#choice(each, choose)));
  }

  #choice(window, choose) {
    const input = element('input', { type: 'radio', name: 'window', value: window, checked: window === this.chosen });
    input.addEventListener('change', () => {
      this.chosen = window;
      this.#memory.write(KEY, window);
      choose(window);
    });
    return element('label', {}, input, element('span', { textContent: WORDS[window] ?? window }));
  }
}
