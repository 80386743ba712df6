// Which rooms are live on this connection. Joins go out one after the other: the server counts them against its limits.

const RETRY_SECONDS = 5;
const WAITABLE = new Set(['rate_limited', 'busy', 'room_full']);

/** `hooks`: call(type, fields): calls.js; cursor(room): the fields with which a join goes on; refused(room, problem, seconds). */
export class Joins {
  #hooks;
  #live = new Set();
  #queue = [];
  #busy = false;
  #round = 0; // counts connections, so that an answer that comes after one is dropped
  #timer = 0;

  constructor(hooks) {
    this.#hooks = hooks;
  }

  /** Joins these rooms, the first ones first; those that are live stay as they are. */
  want(rooms) {
    const wanted = rooms.filter((room) => !this.#live.has(room));
    this.#queue = [...new Set([...wanted, ...this.#queue])];
    this.#run();
  }

  has(room) {
    return this.#live.has(room);
  }

  /** A `joined` frame arrived. */
  joined(room) {
    this.#live.add(room);
  }

  /** The room sends nothing to this connection any more. */
  left(room) {
    this.#live.delete(room);
    this.#queue = this.#queue.filter((queued) => queued !== room);
  }

  lost() {
    this.#round += 1;
    clearTimeout(this.#timer);
    this.#live.clear();
    this.#queue = [];
    this.#busy = false;
  }

  async #run() {
    if (this.#busy) return;
    const round = this.#round;
    this.#busy = true;
    while (this.#queue.length && round === this.#round) await this.#join(this.#queue.shift(), round);
    if (round === this.#round) this.#busy = false;
  }

  async #join(room, round) {
    if (this.#live.has(room)) return;
    try {
      await this.#hooks.call('join', { room, ...this.#hooks.cursor(room) });
    } catch (problem) {
      if (round !== this.#round || problem.status === 0) return;
      const seconds = WAITABLE.has(problem.reason) ? (problem.retryAfter ?? RETRY_SECONDS) : null;
      this.#hooks.refused(room, problem, seconds);
      if (seconds === null) return;
      this.#queue.unshift(room);
      await new Promise((later) => (this.#timer = setTimeout(later, seconds * 1000 + 50)));
    }
  }
}
