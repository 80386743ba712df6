// A person's rooms: the list as the server last told it, kept current by the events that arrive.

import { isMember } from './roles.js';
import { Room } from './room.js';

const MOST_UNREAD = 100; // the server counts no further
const ASIDE_ROWS = 100; // of a room that is not on the screen

/** The list and, for the rooms that were looked at, their rows. */
export class Rooms {
  #me;
  #list = new Map(); // id → {room, title, public, archived, role, offset, read, unread, muted_until, …}
  #windows = new Map(); // id → Room

  constructor(me) {
    this.#me = me;
  }

  /** The server's list, in its order. What is not in it any more is forgotten. */
  take(rows) {
    const fresh = new Map(rows.map((row) => [row.room, { ...row }]));
    for (const row of fresh.values()) {
      const known = this.#list.get(row.room);
      // the server writes marks down a moment later, and events may have come since it looked
      const isNewer = known && (known.offset > row.offset || known.read > row.read);
      if (isNewer) Object.assign(row, { unread: known.unread, offset: Math.max(known.offset, row.offset), read: known.read });
    }
    this.#list = fresh;
    for (const id of this.#windows.keys()) if (!isMember(fresh.get(id)?.role)) this.#windows.delete(id);
  }

  get(id) {
    return this.#list.get(id) ?? null;
  }

  /** The rooms that this person is in. */
  get joined() {
    return [...this.#list.values()].filter(({ role }) => isMember(role));
  }

  get invitations() {
    return [...this.#list.values()].filter(({ role }) => role === 'invited');
  }

  get unread() {
    return this.joined.reduce((sum, { unread }) => sum + unread, 0);
  }

  /** The rows of a room. */
  window(id) {
    if (!this.#windows.has(id)) this.#windows.set(id, new Room(id, this.#me));
    return this.#windows.get(id);
  }

  /** A room that leaves the screen keeps its last rows. */
  aside(id) {
    this.#windows.get(id)?.trim({ rows: ASIDE_ROWS });
  }

  /** A `joined` frame: what the room is, and who one is in it. */
  entered({ room, role, title, public: open, archived = false, posts_per_second, slow_seconds, muted_until }) {
    const row = this.#list.get(room);
    if (row) Object.assign(row, { role, title, public: open, archived, posts_per_second, slow_seconds, muted_until });
  }

  /** An event of any room; `looking` when this person sees it as it arrives. True when it concerns the list. */
  received(event, looking) {
    const row = this.#list.get(event.room);
    if (!row || event.offset <= row.offset) return false;
    row.offset = event.offset;
    if (event.type === 'message') return this.#counted(row, event, looking);
    if (event.type === 'room') return this.#changed(row, event);
    return event.type === 'member' && event.user === this.#me && this.#moved(row, event);
  }

  /** Everything up to there was looked at. True when that is new. */
  read(id, offset) {
    const row = this.#list.get(id);
    if (!row || (offset <= row.read && row.unread === 0)) return false;
    row.read = offset;
    row.unread = 0;
    return true;
  }

  forget(id) {
    this.#list.delete(id);
    this.#windows.delete(id);
  }

  #counted(row, { sender }, looking) {
    if (sender === this.#me || looking) return false;
    row.unread = Math.min(MOST_UNREAD, row.unread + 1);
    return true;
  }

  #changed(row, { change, title, public: open, posts_per_second: posts, slow_seconds: slow }) {
    if (title !== undefined) row.title = title;
    if (open !== undefined) row.public = open;
    if (posts !== undefined) row.posts_per_second = posts || undefined;
    if (slow !== undefined) row.slow_seconds = slow || undefined;
    if (change === 'archived' || change === 'unarchived') row.archived = change === 'archived';
    return true;
  }

  #moved(row, { change, role, until = -1 }) {
    if (change === 'role') row.role = role;
    if (change === 'muted') row.muted_until = until;
    if (change === 'unmuted') row.muted_until = undefined;
    return true;
  }
}
