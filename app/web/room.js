// What a room looks like from here: an ordered list of rows. No I/O and no page; view.js draws it.

const KEPT_ROWS = 500;
const NOTICE_MERGE_MS = 60_000;

/**
 * A row is {key, kind: 'message', sender, text, time, own, offset, id, status} with status sent, sending or failed, or
 * {key, kind: 'presence', changes, time}, or {key, kind: 'gap', text, after}. Messages with an offset stand in its order; own
 * posts that have none yet stay where they were written until they get one.
 */
export class Room {
  rows = [];
  #me;
  #keys = 0;
  #offset = null; // the last offset seen in this epoch
  #epoch = null;

  constructor(name, me) {
    this.name = name;
    this.#me = me;
  }

  /** A `joined` frame: marks what may have been missed since the last one. */
  joined({ offset, epoch }) {
    const known = this.#epoch !== null;
    if (known && epoch !== this.#epoch) {
      this.#forgetOffsets();
      this.#add({ kind: 'gap', after: -1, text: 'The server was restored. Messages may be missing here.' });
      this.#offset = offset;
    } else if (known && offset > this.#offset) {
      this.#add({ kind: 'gap', after: offset, text: missed(offset - this.#offset) });
    }
    this.#epoch = epoch;
    this.#offset = Math.max(offset, this.#offset ?? 0);
  }

  /** A `message` frame. True when it is new here and somebody else's. */
  received({ offset, sender, message, timestamp }) {
    this.#offset = Math.max(this.#offset ?? 0, offset);
    const own = sender === this.#me;
    const known = this.#find((row) => row.offset === offset);
    const mine = known ?? (own ? this.#find((row) => row.offset === null && row.text === message && row.id) : null);
    const facts = { sender, text: message, time: timestamp * 1000, own, offset, status: 'sent' };
    if (mine) this.#replace(mine, facts);
    else this.#place({ kind: 'message', key: this.#key(), id: null, ...facts });
    return !known && !own;
  }

  /** An own post that is on its way. */
  posting({ id, text, time }) {
    if (this.#find((row) => row.id === id)) return this.mark(id, 'sending');
    return this.#add({ kind: 'message', id, sender: this.#me, text, time, own: true, offset: null, status: 'sending' });
  }

  /** An own post is stored at this offset. */
  stored(id, offset) {
    const row = this.#find((candidate) => candidate.id === id);
    if (!row || row.offset === offset) return;
    const twin = this.#find((candidate) => candidate.offset === offset);
    if (row.offset !== null) row.id = null; // the same words, sent from another tab at the same time, were taken for it
    else if (twin) this.remove(id);
    if (twin) twin.id = id;
    else if (row.offset === null) this.#replace(row, { offset, status: 'sent' });
    else this.#place({ ...row, key: this.#key(), id, offset, status: 'sent' });
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
    if (!others.length) return;
    let row = this.rows.at(-1);
    if (row?.kind !== 'presence' || now - row.time > NOTICE_MERGE_MS) {
      row = this.#add({ kind: 'presence', changes: new Map(), time: now });
    }
    for (const [name, change] of others) {
      row.changes.delete(name); // so that the latest change stands last
      row.changes.set(name, change);
    }
  }

  #find(test) {
    return this.rows.find((row) => row.kind === 'message' && test(row)) ?? null;
  }

  #key() {
    return (this.#keys += 1);
  }

  #add(row) {
    const added = { key: this.#key(), ...row };
    this.rows.push(added);
    this.#trim();
    return added;
  }

  #replace(row, facts) {
    this.rows.splice(this.rows.indexOf(row), 1);
    this.#place(Object.assign(row, facts));
  }

  /** After the last row with a smaller offset, and after what has none and stands before the posts on their way. */
  #place(row) {
    let at = this.rows.length;
    while (at > 0 && standsAfter(this.rows[at - 1], row.offset)) at -= 1;
    this.rows.splice(at, 0, row);
    this.#trim();
  }

  #trim() {
    if (this.rows.length > KEPT_ROWS) this.rows.splice(0, this.rows.length - KEPT_ROWS);
  }

  #forgetOffsets() {
    for (const row of this.rows) if (row.offset) row.offset = 0;
  }
}

function standsAfter(row, offset) {
  if (row.kind === 'gap') return row.after >= offset;
  return row.kind === 'message' && (row.offset === null || row.offset > offset);
}

function missed(count) {
  const what = count === 1 ? 'a message' : `up to ${count} messages`;
  return `You were away and may have missed ${what}.`;
}
