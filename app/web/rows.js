// The rows of a room in their order, each of which keeps its key for as long as it is there.

const CHANGES_KEPT = 100;

/**
 * `list` holds them. A row with an `offset` stands at it, one without stands after the offset that its `after` names, and own
 * posts that have no offset yet (null) stand last.
 */
export class Rows {
  list = [];
  #keys = 0;
  #changes = new Map(); // changes of messages that are not here, for when an older page brings them

  /** The message for which this holds, or null. */
  message(test) {
    return this.list.find((row) => row.kind === 'message' && test(row)) ?? null;
  }

  /** Whether there is a row for this event. */
  has(offset) {
    return this.list.some((row) => row.offset === offset);
  }

  /** The offsets of the first and the last event; undefined when there is none. */
  get ends() {
    const offsets = this.list.map(({ offset }) => offset).filter(Boolean);
    return [offsets.at(0), offsets.at(-1)];
  }

  /** Puts a copy of the row where it belongs, and returns it. */
  add(row) {
    const added = { ...row, key: (this.#keys += 1) };
    this.#place(added);
    return added;
  }

  /** The row says something else now, and may belong elsewhere by it. */
  replace(row, facts) {
    this.list.splice(this.list.indexOf(row), 1);
    this.#place(Object.assign(row, facts));
  }

  /** An `edited` or `deleted` event. An old edit on a page of the history does not undo a newer one. */
  change(event) {
    const row = this.message(({ offset }) => offset === event.target);
    if (!row) return this.#remember(event);
    this.#changes.delete(event.target);
    if (event.type === 'deleted') {
      return Object.assign(row, { text: '', deleted: { by: event.sender, reason: event.reason ?? '' } });
    }
    const news = !event.deleted && !row.deleted && event.timestamp >= row.edited;
    return news ? Object.assign(row, { text: event.message, edited: event.timestamp }) : row;
  }

  /** The message at this offset is here now: what changed it before is made up for. */
  catchUp(offset) {
    const change = this.#changes.get(offset);
    if (change) this.change(change);
  }

  /** Drops everything but the posts that are on their way. */
  restart() {
    this.list = this.list.filter((row) => row.kind === 'message' && row.offset === null);
    this.#changes.clear();
  }

  /** Drops the own post with this id. */
  remove(id) {
    this.list = this.list.filter((row) => row.id !== id || row.kind !== 'message');
  }

  dropFirst(count) {
    this.list.splice(0, count);
  }

  /** Drops the last rows but those that are on their way. */
  dropLast(count) {
    const waiting = this.list.filter(({ offset }) => offset === null);
    const stored = this.list.filter(({ offset }) => offset !== null);
    this.list = [...stored.slice(0, -count), ...waiting];
  }

  #remember(event) {
    this.#changes.set(event.target, event);
    if (this.#changes.size > CHANGES_KEPT) this.#changes.delete(this.#changes.keys().next().value);
    return undefined;
  }

  #place(row) {
    let at = this.list.length;
    while (at > 0 && position(this.list[at - 1]) > position(row)) at -= 1;
    this.list.splice(at, 0, row);
  }
}

function position({ offset, after }) {
  if (offset === null) return Infinity;
  return offset ?? after + 0.5;
}
