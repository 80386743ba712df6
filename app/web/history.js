// Older and newer pages of a room, asked for when somebody scrolls there.

const PAGE = 50;
const SOON_MS = 300;

/** `hooks`: call(type, fields): calls.js; changed(room): its rows or the state of a page changed. */
export class History {
  #hooks;
  #state = new WeakMap(); // Room → 'loading' or a Problem

  constructor(hooks) {
    this.#hooks = hooks;
  }

  /** 'loading', a Problem, or null. */
  state(room) {
    return this.#state.get(room) ?? null;
  }

  /** The page above the window; the newest one when there is no window yet. */
  older(room) {
    const isAll = room.top === 'beginning' || room.top === 'removed';
    if (!isAll && room.cursor.epoch !== undefined) this.#page(room, 'before', (page) => room.older(page));
  }

  /** The page below the window. */
  newer(room) {
    if (!room.atEnd) this.#page(room, 'after', (page) => room.newer(page));
  }

  /** Leaves the place for the newest page. */
  newest(room) {
    room.restart();
    this.#hooks.changed(room);
    this.older(room);
  }

  /** `side` names the edge of the window; an answer is dropped when the edge has moved since. */
  async #page(room, side, take) {
    if (this.state(room) === 'loading') return;
    this.#settle(room, 'loading');
    const edge = room.edges[side];
    try {
      const page = await this.#hooks.call('history', { room: room.name, limit: PAGE, [side]: edge });
      if (room.edges[side] === edge) take(page);
      this.#settle(room, null);
    } catch (problem) {
      this.#settle(room, problem);
      if (problem.retryAfter !== null) setTimeout(() => this.#settle(room, null), problem.retryAfter * 1000 + SOON_MS);
    }
  }

  /** After a throttle, too, whoever still stands at the edge asks again when the rows are drawn. */
  #settle(room, state) {
    this.#state.set(room, state);
    this.#hooks.changed(room);
  }
}
