// What a room looks like from here: an ordered list of rows. No I/O and no page; view.js draws it.

import { told } from './story.js';

export const KEPT_ROWS = 500;
const READING_ROWS = 250; // how many more may pile up below somebody who reads further up
const CHANGES_KEPT = 100;
const NOTICE_MERGE_MS = 60_000;
const CUT = {
  epoch: 'The server was restored. Some messages may be missing here.',
  gone: 'You were away for long. Some messages may be missing here.',
};

/**
 * The rows are a window on the room's events: all from `#from` to `#to`, at most KEPT_ROWS, and the posts on their way. A row is
 *
 * - {key, kind: 'message', sender, text, time, own, offset, id, status, edited, deleted}: status sent, sending or failed; edited
 *   is the time of the last edit or 0; deleted is null or {by, reason};
 * - {key, kind: 'event', text, time, offset}: what else changed;
 * - {key, kind: 'presence', changes, time, after} or {key, kind: 'gap', text, after}: what has no offset stands after one.
 *
 * `isOld` says that it came with a page of the history. Own posts that have no offset yet stand last.
 */
export class Room {
  rows = [];
  /** What is above the first row: 'more', 'beginning', 'removed', or null when nobody asked yet. */
  top = null;
  #me;
  #keys = 0;
  #offset = null; // the last event that arrived; whatever has a higher offset is still to come
  #epoch = null;
  #from = 1;
  #to = 0;
  #changes = new Map(); // changes of messages that are not here, for when an older page brings them

  constructor(name, me) {
    this.name = name;
    this.#me = me;
  }

  /** Where to go on after a lost connection: the fields of a `join`. */
  get cursor() {
    return this.#epoch === null ? {} : { after: this.#offset, epoch: this.#epoch };
  }

  /** The last event that is in a row here, for the mark of what was read. */
  get seen() {
    return this.#to;
  }

  /** Whether the newest event is in the window. */
  get atEnd() {
    return this.#offset === null || this.#to >= this.#offset;
  }

  /** Where the pages above and below the window begin. */
  get edges() {
    return { before: this.#from, after: this.#to, epoch: this.#epoch };
  }

  /** A `joined` frame. Unless it goes on where the last connection ended, the history has to be asked for anew. */
  joined({ offset, epoch, recovered }) {
    const known = this.#epoch !== null;
    if (known && recovered) return;
    const [last, sameEpoch] = [this.#offset, epoch === this.#epoch];
    this.#epoch = epoch;
    this.#offset = offset;
    this.restart();
    if (known) this.#add({ kind: 'gap', text: sameEpoch ? CUT.gone : CUT.epoch, after: sameEpoch ? last : offset });
  }

  /** Forgets the window and begins a new one at the end; what is on its way stays. */
  restart() {
    this.rows = this.rows.filter((row) => row.kind === 'message' && row.offset === null);
    this.#changes.clear();
    this.#from = this.#offset + 1;
    this.#to = this.#offset;
    this.top = null;
  }

  /** An event: 'news' when it is somebody else's message, 'repeated', 'missed' when one before it never came, or 'taken'. */
  received(event) {
    if (event.offset <= this.#offset) return 'repeated';
    if (event.offset !== this.#offset + 1) return 'missed';
    const atEnd = this.atEnd;
    this.#offset = event.offset;
    if (atEnd) {
      this.#to = Math.max(this.#to, event.offset);
      this.#take(event, true);
    } else if ('target' in event) this.#change(event);
    return event.type === 'message' && event.sender !== this.#me ? 'news' : 'taken';
  }

  /** A page of the events before the window. */
  older({ events, epoch, more }) {
    if (epoch !== this.#epoch) return;
    for (const event of events) if (event.offset < this.#from) this.#take(event);
    this.#from = Math.min(this.#from, events[0]?.offset ?? this.#from);
    this.top = more ? 'more' : this.#from <= 1 ? 'beginning' : 'removed';
    if (this.rows.length > KEPT_ROWS) this.#dropLast(this.rows.length - KEPT_ROWS);
  }

  /** A page of the events after the window. */
  newer({ events, epoch }) {
    if (epoch !== this.#epoch) return;
    for (const event of events) if (event.offset > this.#to) this.#take(event);
    this.#to = Math.max(this.#to, events.at(-1)?.offset ?? 0);
    this.trim();
  }

  /** Keeps the window small: drops rows at the top, or below somebody who reads there. */
  trim({ reading = false, rows = KEPT_ROWS } = {}) {
    const surplus = this.rows.length - rows;
    if (surplus <= 0) return;
    if (reading) {
      if (surplus > READING_ROWS) this.#dropLast(surplus);
      return;
    }
    this.rows.splice(0, surplus);
    this.#from = this.#offsets().at(0) ?? this.#to + 1;
    this.top = 'more';
  }

  /** An own post that is on its way. */
  posting({ id, text, time }) {
    if (this.#find((row) => row.id === id)) return this.mark(id, 'sending');
    return this.#add({ kind: 'message', id, sender: this.#me, text, time, offset: null, ...fresh(true, 'sending') });
  }

  /** An own post is stored at this offset. */
  stored(id, offset) {
    const row = this.#find((candidate) => candidate.id === id);
    if (!row || row.offset === offset) return;
    const twin = this.#find((candidate) => candidate.offset === offset);
    if (row.offset !== null) row.id = null; // the same words, sent from another tab at the same time, were taken for it
    else if (twin || offset < this.#from) this.remove(id);
    if (twin) twin.id = id;
    else if (offset < this.#from) return;
    else if (row.offset === null) this.#replace(row, { offset, status: 'sent' });
    else this.#add({ ...row, id, offset, status: 'sent' });
  }

  mark(id, status) {
    const row = this.#find((candidate) => candidate.id === id);
    if (row && row.offset === null) row.status = status;
  }

  remove(id) {
    this.rows = this.rows.filter((row) => row.id !== id || row.kind !== 'message');
  }

  /** A `presence` frame; what comes in quick succession shares one row. */
  presence({ joined = [], left = [] }, now = Date.now()) {
    const changes = [...joined.map((name) => [name, 'joined']), ...left.map((name) => [name, 'left'])];
    const others = changes.filter(([name]) => name !== this.#me);
    if (!others.length || !this.atEnd) return;
    let row = this.rows.findLast(({ offset }) => offset !== null);
    if (row?.kind !== 'presence' || now - row.time > NOTICE_MERGE_MS) {
      row = this.#add({ kind: 'presence', changes: new Map(), time: now, after: this.#offset ?? 0 });
    }
    for (const [name, change] of others) {
      row.changes.delete(name); // so that the latest change stands last
      row.changes.set(name, change);
    }
  }

  #take(event, live = false) {
    if ('target' in event) return this.#change(event);
    if (event.type === 'message') return this.#message(event, live);
    if (this.rows.some((row) => row.offset === event.offset)) return undefined;
    const { offset, timestamp } = event;
    return this.#add({ kind: 'event', text: told(event, this.#me), time: timestamp * 1000, offset, isOld: !live });
  }

  #message({ offset, sender, message, timestamp, edited_at: edited = 0, deleted = false }, live) {
    const own = sender === this.#me;
    const isOurs = (row) => live && own && row.offset === null && row.text === message && row.id;
    const mine = this.#find((row) => row.offset === offset) ?? this.#find(isOurs);
    const facts = { sender, text: message, time: timestamp * 1000, offset, ...fresh(own, 'sent'), edited };
    if (deleted) facts.deleted = { by: null, reason: '' };
    if (mine) this.#replace(mine, facts);
    else this.#add({ kind: 'message', id: null, ...facts, isOld: !live });
    const change = this.#changes.get(offset);
    if (change) this.#change(change);
  }

  /** An `edited` or `deleted` event. An old edit on a page of the history does not undo a newer one. */
  #change(event) {
    const row = this.#find(({ offset }) => offset === event.target);
    if (!row) return this.#remember(event);
    this.#changes.delete(event.target);
    if (event.type === 'deleted') {
      return Object.assign(row, { text: '', deleted: { by: event.sender, reason: event.reason ?? '' } });
    }
    const news = !event.deleted && !row.deleted && event.timestamp >= row.edited;
    return news ? Object.assign(row, { text: event.message, edited: event.timestamp }) : row;
  }

  #remember(event) {
    this.#changes.set(event.target, event);
    if (this.#changes.size > CHANGES_KEPT) this.#changes.delete(this.#changes.keys().next().value);
  }

  #find(test) {
    return this.rows.find((row) => row.kind === 'message' && test(row)) ?? null;
  }

  #replace(row, facts) {
    this.rows.splice(this.rows.indexOf(row), 1);
    this.#place(Object.assign(row, facts));
  }

  #add(row) {
    const added = { ...row, key: (this.#keys += 1) };
    this.#place(added);
    return added;
  }

  #place(row) {
    let at = this.rows.length;
    while (at > 0 && position(this.rows[at - 1]) > position(row)) at -= 1;
    this.rows.splice(at, 0, row);
  }

  #dropLast(count) {
    const waiting = this.rows.filter(({ offset }) => offset === null);
    const stored = this.rows.filter(({ offset }) => offset !== null);
    this.rows = [...stored.slice(0, -count), ...waiting];
    this.#to = this.#offsets().at(-1) ?? this.#from - 1;
  }

  #offsets() {
    return this.rows.map(({ offset }) => offset).filter(Boolean);
  }
}

function fresh(own, status) {
  return { own, status, edited: 0, deleted: null };
}

function position({ offset, after }) {
  if (offset === null) return Infinity;
  return offset ?? after + 0.5;
}
