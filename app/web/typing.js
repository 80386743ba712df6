// Who is writing: said while one writes, shown until it was not repeated for a while.

import { setText } from './element.js';
import { people } from './words.js';

const REPEAT_MS = 5000;
const FORGET_MS = 7000;
const MOST = 100;
const LATE_MS = 1500; // the server tells who writes a moment later than what was written

/** The line below the messages. `hooks`: say(): tells the room that one writes. */
export class Typing {
  #place;
  #hooks;
  #said = -REPEAT_MS;
  #writers = new Map(); // name → the timer that forgets it
  #done = new Map(); // name → when their last message came

  constructor(place, hooks) {
    this.#place = place;
    this.#hooks = hooks;
  }

  /** Something was typed here. */
  wrote() {
    if (performance.now() - this.#said < REPEAT_MS) return;
    this.#said = performance.now();
    this.#hooks.say();
  }

  /** What was written is sent: the next letter is news again. */
  sent() {
    this.#said = -REPEAT_MS;
  }

  /** A `typing` frame, without one's own name. */
  heard(names) {
    for (const name of names) {
      if (performance.now() - (this.#done.get(name) ?? -LATE_MS) < LATE_MS) continue;
      clearTimeout(this.#writers.get(name));
      this.#writers.set(
        name,
        setTimeout(() => this.#forget(name), FORGET_MS),
      );
    }
    this.#draw();
  }

  /** Their message is here, or they have gone. */
  stopped(name) {
    this.#done.delete(name);
    this.#done.set(name, performance.now());
    if (this.#done.size > MOST) this.#done.delete(this.#done.keys().next().value);
    this.#forget(name);
  }

  #forget(name) {
    clearTimeout(this.#writers.get(name));
    if (this.#writers.delete(name)) this.#draw();
  }

  clear() {
    for (const name of [...this.#writers.keys()]) this.#forget(name);
    this.#done.clear();
    this.sent();
  }

  #draw() {
    const names = [...this.#writers.keys()];
    const verb = names.length === 1 ? 'is' : 'are';
    setText(this.#place, names.length ? `${people(names)} ${verb} writing` : '');
  }
}
