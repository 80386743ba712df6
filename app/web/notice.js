// A notice: one sentence, perhaps with a live countdown, perhaps with one thing to do.

import { countDown, spell } from './countdown.js';
import { element, setText } from './element.js';

/** A place on the page for one notice at a time. A screen reader hears each notice once, not every second of its countdown. */
export class Notice {
  #place;
  #refuge;
  #stop = () => {};

  /** `refuge` gets the keyboard focus when the button that had it goes away. */
  constructor(place, refuge = null) {
    this.#place = place;
    this.#refuge = refuge;
  }

  /**
   * Shows `text` until `until` (a moment of performance.now(), null for good), then calls `over`. `{time}` in it counts down;
   * `action` is {label, run}; `tone` is info, warn or danger.
   */
  show({ text, tone = 'info', until = null, over = () => this.clear(), action = null }) {
    this.clear();
    const left = until === null ? 0 : Math.max(0, (until - performance.now()) / 1000);
    const seen = element('span', { 'aria-hidden': 'true', className: 'notice-text' });
    const heard = element('span', {
      role: tone === 'info' ? 'status' : 'alert',
      className: 'visually-hidden',
    });
    this.#place.dataset.tone = tone;
    this.#place.replaceChildren(seen, heard);
    this.#place.hidden = false;
    heard.textContent = text.replace('{time}', spell(left));
    if (action) this.#place.append(actionButton(action));
    if (until === null) seen.textContent = text;
    else this.#stop = countDown(until, (seconds) => tell(seen, text, seconds), over);
  }

  clear() {
    this.#stop();
    this.#stop = () => {};
    if (this.#place.contains(document.activeElement)) this.#refuge?.focus();
    this.#place.hidden = true;
    this.#place.replaceChildren();
  }

  get shown() {
    return !this.#place.hidden;
  }
}

function tell(seen, text, seconds) {
  const [before, after] = text.split('{time}');
  if (after === undefined) return setText(seen, text);
  seen.replaceChildren(before, element('b', { className: 'time-left', textContent: spell(seconds) }), after);
  return undefined;
}

function actionButton({ label, run }) {
  const button = element('button', { type: 'button', className: 'button small', textContent: label });
  button.addEventListener('click', run);
  return button;
}
