// The mark of what was read: moved a moment after something came into view.

const WAIT_MS = 500; // what is read in this time is one mark

/** `hooks`: room(): the Room that somebody looks at to its end, or null; mark(room, offset): sends the mark, when it is new. */
export class Reading {
  #hooks;
  #timer = 0;

  constructor(hooks) {
    this.#hooks = hooks;
  }

  /** Something came into view. */
  looked() {
    if (!this.#timer && this.#hooks.room()) this.#timer = setTimeout(() => this.mark(), WAIT_MS);
  }

  /** Moves the mark now. */
  mark() {
    this.stop();
    const room = this.#hooks.room();
    if (room) this.#hooks.mark(room.name, room.seen);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = 0;
  }
}
