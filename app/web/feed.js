// What the server sends, sorted into the rooms: the list, the rows of each room, and the posts on their way.

import { Calls } from './calls.js';
import { History } from './history.js';
import { Joins } from './joins.js';
import { Posts } from './posts.js';
import { Rooms } from './rooms.js';

const LIST_MS = 150; // several reasons to ask for the list are one question
const LIST_RETRY_SECONDS = 2;
const EVENTS = new Set(['message', 'edited', 'deleted', 'member', 'room']);
const ENDS = new Set(['left', 'declined', 'kicked', 'banned']);

/**
 * One person's rooms on one connection. `hooks`:
 *
 * - send(frame): false when not connected; reconnect(); shown(): the id of the room on the screen; looking(): whether somebody
 *   sees what arrives there;
 * - listed(): the list changed; changed(room): its rows changed; heard(event, isNews) an event of the room on the screen;
 *   joined(room), joinRefused(room, problem, seconds), out(room, event, title), invited(row, sender);
 * - refused(post, frame): a post that came back; presence(frame), typing(frame); other(frame): whatever is not about a room.
 */
export class Feed {
  rooms = new Rooms('');
  posts = null;
  history;
  #me = '';
  #hooks;
  #calls;
  #joins;
  #due = 0;

  constructor(hooks) {
    this.#hooks = hooks;
    this.#calls = new Calls(hooks.send);
    this.history = new History({ call: (...verb) => this.call(...verb), changed: ({ name }) => hooks.changed(name) });
    this.#joins = new Joins({
      call: (...verb) => this.call(...verb),
      cursor: (room) => this.rooms.window(room).cursor,
      refused: (room, problem, seconds) => this.#joinRefused(room, problem, seconds),
    });
  }

  /** Begins with what the tab kept: the row of the room it showed, and the posts that nobody confirmed. */
  open(me, memory, row) {
    this.#me = me;
    this.rooms = new Rooms(me);
    this.rooms.take([{ role: 'member', offset: 0, read: 0, unread: 0, members: 0, ...row }]);
    this.posts = new Posts(memory, {
      window: (room) => this.rooms.window(room),
      transmit: this.#hooks.send,
      changed: this.#hooks.changed,
      refused: this.#hooks.refused,
    });
  }

  close() {
    clearTimeout(this.#due);
    this.lost();
    this.posts?.close();
    this.rooms = new Rooms('');
  }

  /** The connection is gone: everything waits for the next one. */
  lost() {
    this.#calls.lost();
    this.#joins.lost();
    this.posts?.lost();
  }

  /** Asks the server; see calls.js. */
  call(type, fields) {
    return this.#calls.call(type, fields);
  }

  /** Whether the room is live on this connection. */
  isLive(room) {
    return this.#joins.has(room);
  }

  /** Asks for the list soon. */
  relist(delay = LIST_MS) {
    clearTimeout(this.#due);
    this.#due = setTimeout(() => this.list().catch((problem) => this.#unlisted(problem)), delay);
  }

  /** Asks for the list, and joins the rooms on it, the one on the screen first. No others: a join makes one a member. */
  async list() {
    const { rooms } = await this.call('rooms');
    this.rooms.take(rooms);
    const joined = this.rooms.joined.map(({ room }) => room);
    const shown = this.#hooks.shown();
    this.#joins.want(joined.sort((a, b) => (b === shown) - (a === shown)));
    this.#hooks.listed();
  }

  /** A frame of the live connection. */
  received(frame) {
    if (EVENTS.has(frame.type)) this.#event(frame);
    else if (frame.type === 'joined') this.#joined(frame);
    else if (frame.type === 'ack' && this.posts.acked(frame)) return;
    else if (frame.type === 'error' && this.posts.refused(frame)) return;
    else if (this.#calls.answered(frame)) return;
    else if (frame.type === 'error' && frame.code === 'removed' && frame.room) this.#out(frame.room, null);
    else if (frame.type === 'membership') this.#membership(frame);
    else if (frame.type === 'presence') this.#hooks.presence(frame);
    else if (frame.type === 'typing') this.#hooks.typing(frame);
    else this.#hooks.other(frame);
  }

  #event(event) {
    const { room } = event;
    const what = this.rooms.window(room).received(event);
    if (what === 'missed') return this.#hooks.reconnect(); // and the join asks for what is missing
    if (what === 'repeated') return undefined;
    const isShown = room === this.#hooks.shown();
    const concerned = this.rooms.received(event, isShown && this.#hooks.looking());
    if (isShown) this.#hooks.heard(event, what === 'news');
    else this.rooms.aside(room);
    if (event.type === 'member' && event.user === this.#me && ENDS.has(event.change)) this.#out(room, event);
    return concerned && this.#hooks.listed();
  }

  #joined(frame) {
    const { room, newest } = frame;
    const window = this.rooms.window(room);
    const listed = this.rooms.get(room);
    window.joined(frame);
    this.#joins.joined(room);
    if (!listed || newest > listed.offset) this.relist(); // what was said since the list was made is not counted in it
    this.rooms.entered(frame);
    this.posts.show(room);
    this.posts.joined(room);
    if (room === this.#hooks.shown()) {
      if (window.top === null) this.history.older(window);
      this.#hooks.joined(room);
    }
    this.#calls.answered(frame);
  }

  #joinRefused(room, problem, seconds) {
    if (seconds === null) this.relist();
    else this.#hooks.joinRefused(room, problem, seconds);
  }

  /** The room says nothing to this person any more. */
  #out(room, event) {
    const title = this.rooms.get(room)?.title ?? 'the room';
    this.#joins.left(room);
    this.posts.lost(room);
    this.posts.abandon(room);
    this.rooms.forget(room);
    this.#hooks.out(room, event, title);
  }

  /** One's own list changed, here or on another device. */
  async #membership({ change, room, sender }) {
    if (change !== 'invited' || sender === this.#me) return this.relist();
    try {
      await this.list();
    } catch (problem) {
      return this.#unlisted(problem);
    }
    const row = this.rooms.get(room);
    return row?.role === 'invited' && this.#hooks.invited(row, sender);
  }

  #unlisted({ status, retryAfter }) {
    if (status) this.relist((retryAfter ?? LIST_RETRY_SECONDS) * 1000 + LIST_MS);
  }
}
