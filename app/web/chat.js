// One signed-in person's chat: frames in, rows and notices out.

import { request } from './api.js';
import { Composer } from './composer.js';
import { Connection } from './connection.js';
import { momentIn } from './countdown.js';
import { byId, setText } from './element.js';
import { Link } from './link.js';
import { Memory } from './memory.js';
import { Notice } from './notice.js';
import { Posts } from './posts.js';
import { Room } from './room.js';
import { View } from './view.js';
import { postError, throttle } from './words.js';

const JOIN = 'join';
const REFRESH = 'refresh';
const JOIN_RETRY_SECONDS = 5;
const READABLE_SECONDS = 6; // most throttles last under a second: what they said has to stay long enough to be read

/** The chat in one room. `hooks`: unauthorised(problem). */
export class Chat {
  #connection;
  #view;
  #composer;
  #postNotice = new Notice(byId('post-notice'));
  #link;
  #hooks;
  #room = null;
  #posts = null;
  #unread = 0;
  #rejoin = 0;

  constructor(hooks) {
    this.#hooks = hooks;
    this.#connection = new Connection({
      request,
      state: (state) => this.#state(state),
      received: (frame) => this.#received(frame),
      unauthorised: (problem) => hooks.unauthorised(problem),
    });
    this.#link = new Link({ reconnect: () => this.#connection.start() });
    this.#view = new View(
      { log: byId('log'), list: byId('messages'), empty: byId('empty'), newest: byId('newest') },
      { retry: (id) => this.#posts.retry(id), discard: (id) => this.#discard(id) },
    );
    const parts = { form: byId('composer'), box: byId('message'), button: byId('send') };
    const counters = { counter: byId('counter'), counterText: byId('counter-text') };
    this.#composer = new Composer({ ...parts, ...counters }, { send: (text) => this.#send(text) });
    document.addEventListener('visibilitychange', () => this.#read());
  }

  /** Opens the session's first room, with the draft and the unconfirmed posts that the tab kept. */
  open({ name, rooms, limits }) {
    const room = rooms[0];
    const memory = new Memory(name);
    this.#room = new Room(room, name);
    this.#posts = new Posts(memory, {
      room: this.#room,
      transmit: (frame) => this.#connection.send(frame),
      changed: () => this.#view.changed(),
      refused: (post, frame) => this.#giveBack(post, frame),
    });
    setText(byId('room-name'), room);
    setText(byId('me'), name);
    byId('log').setAttribute('aria-label', `Messages in ${room}`);
    this.#view.open(this.#room);
    this.#composer.open({ memory, limit: limits.message_characters, room });
    this.#composer.focus();
    this.#read();
    this.#connection.start();
  }

  /** Leaves the chat. What the tab keeps for a later sign-in is forgotten only when asked. */
  close({ forget = false } = {}) {
    this.disconnect();
    clearTimeout(this.#rejoin);
    this.#posts?.close();
    if (forget && this.#room) new Memory(byId('me').textContent).clear();
    this.#composer.close();
    this.#postNotice.clear();
    this.#link.clear();
    this.#room = null;
    this.#view.open(null);
    document.title = 'Portcullis';
  }

  /** Hangs up, so that the room hears of a leave on purpose and not of a lost connection. */
  disconnect() {
    this.#connection.stop();
    this.#composer.live = false;
    this.#posts?.lost();
  }

  reconnect() {
    this.#connection.start();
  }

  /** Tells something that concerns the whole page. */
  warn(text) {
    this.#postNotice.show({ text, tone: 'danger' });
  }

  #state(state) {
    this.#link.state(state);
    if (state.name === 'live') return this.#join();
    clearTimeout(this.#rejoin);
    this.#composer.live = false;
    return this.#posts.lost();
  }

  #join() {
    this.#connection.send({ type: 'join', room: this.#room.name, id: JOIN });
  }

  #received(frame) {
    if (frame.type === 'message') this.#message(frame);
    else if (frame.type === 'ack') this.#acked(frame);
    else if (frame.type === 'joined') this.#joined(frame);
    else if (frame.type === 'error') this.#error(frame);
    else if (frame.type === 'presence') this.#presence(frame);
    else if (frame.type === 'expiring') this.#refresh();
    else if (frame.type === 'going_away') this.#link.goingAway();
  }

  #message(frame) {
    if (frame.room !== this.#room.name) return;
    const news = this.#room.received(frame);
    this.#view.changed(news ? 1 : 0);
    if (news && document.hidden) this.#count(this.#unread + 1);
  }

  #joined(frame) {
    if (frame.room !== this.#room.name) return;
    this.#room.joined(frame);
    this.#view.changed();
    this.#link.joined();
    this.#posts.joined();
    this.#composer.live = true;
  }

  #presence(frame) {
    if (frame.room !== this.#room.name) return;
    this.#room.presence(frame);
    this.#view.changed();
  }

  #acked(frame) {
    if (frame.id === REFRESH) this.#link.refreshed(frame.expires_at);
    else if (frame.offset !== undefined) this.#posts.acked(frame);
  }

  #error(frame) {
    if (frame.id === JOIN) return this.#joinRefused(frame);
    if (frame.id === REFRESH) return this.#link.ending();
    if (this.#posts.refused(frame)) return undefined;
    return this.#tell(frame);
  }

  #joinRefused(frame) {
    const seconds = frame.retry_after ?? JOIN_RETRY_SECONDS;
    const until = momentIn(seconds);
    this.#postNotice.show({ text: `${postError(frame.code, frame.error)} Trying again in {time}.`, tone: 'warn', until });
    this.#rejoin = setTimeout(() => this.#join(), seconds * 1000);
    return undefined;
  }

  /** A fresh credential for the live connection, before the old one expires. */
  async #refresh() {
    try {
      const { access_token: token } = await request('POST', '/api/tokens');
      this.#connection.send({ type: 'refresh', token, id: REFRESH });
    } catch {
      this.#link.ending();
    }
  }

  #send(text) {
    const taken = this.#posts.send(text.toWellFormed?.() ?? text);
    if (!taken) return false;
    this.#postNotice.clear();
    this.#view.follow();
    return true;
  }

  /** A refused post goes back into the message box, or stays in the log for a retry when something else is written there. */
  #giveBack(post, frame) {
    if (this.#composer.text.trim() === '') this.#composer.text = post.text;
    else this.#posts.keepFailed(post);
    this.#tell(frame);
  }

  #tell({ code, error, limit, retry_after: seconds }) {
    if (code !== 'rate_limited') {
      return this.#postNotice.show({ text: postError(code, error), tone: 'danger' });
    }
    const until = momentIn(seconds ?? 1);
    this.#composer.pause(until);
    const { lasting, over } = throttle(limit);
    const settle = () => this.#postNotice.show({ text: over, until: momentIn(READABLE_SECONDS) });
    return this.#postNotice.show({ text: lasting, tone: 'warn', until, over: settle });
  }

  #discard(id) {
    this.#posts.discard(id);
    this.#composer.focus();
  }

  #read() {
    if (!document.hidden) this.#count(0);
  }

  #count(unread) {
    this.#unread = unread;
    const name = this.#room ? `#${this.#room.name} · Portcullis` : 'Portcullis';
    document.title = unread ? `(${unread}) ${name}` : name;
  }
}
