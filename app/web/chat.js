// One signed-in person's chat: the connection, the rooms behind it, and what of them is on the screen.

import { closeAll } from './dialog.js';
import { byId, setText } from './element.js';
import { Feed } from './feed.js';
import { Line } from './line.js';
import { Memory } from './memory.js';
import { Reading } from './reading.js';
import { isMember } from './roles.js';
import { Side } from './side.js';
import { Stage } from './stage.js';

const TYPING = 'typing';
const SHOWN = 'room'; // where the tab keeps which room was on the screen

/** The chat. `hooks`: unauthorised(problem). */
export class Chat {
  #line;
  #feed;
  #stage;
  #side;
  #reading;
  #me = '';
  #first = '';
  #limit = 500;
  #memory = null;

  constructor(hooks) {
    const send = (frame) => this.#line.send(frame);
    this.#line = new Line({
      live: () => this.#live(),
      down: (isFinal) => this.#down(isFinal),
      received: (frame) => this.#feed.received(frame),
      unauthorised: (problem) => hooks.unauthorised(problem),
    });
    this.#feed = new Feed({ send, ...this.#feedHooks() });
    this.#stage = new Stage(this.#stageHooks(send));
    this.#side = new Side({
      call: (...verb) => this.#feed.call(...verb),
      list: () => this.#feed.list(),
      show: (room) => this.#show(room),
      warn: (...given) => this.#stage.desk.warn(...given),
    });
    this.#reading = new Reading({
      room: () => (this.#stage.looking && this.#feed.isLive(this.#stage.name) ? this.#stage.room : null),
      mark: (room, offset) => this.#feed.read(room, offset) && this.#draw(),
    });
    document.addEventListener('visibilitychange', () => {
      this.#reading.looked();
      if (!document.hidden && this.#memory) this.#feed.relist(); // what was read elsewhere meanwhile
    });
  }

  /** Opens the room that the tab showed last, with the drafts and the unconfirmed posts that it kept. */
  open({ name, rooms, limits }) {
    this.#me = name;
    this.#first = rooms[0];
    this.#limit = limits.message_characters;
    this.#memory = new Memory(name);
    const row = this.#memory.read(SHOWN, { room: this.#first, title: this.#first, public: true });
    this.#feed.open(name, this.#memory, row);
    setText(byId('me'), name);
    this.#show(row.room);
    this.#line.start();
  }

  /** Leaves the chat. What the tab keeps for a later sign-in is forgotten only when asked. */
  close({ forget = false } = {}) {
    this.disconnect();
    closeAll();
    this.#reading.stop();
    this.#feed.close();
    this.#stage.close();
    if (forget) this.#memory?.clear();
    this.#memory = null;
    this.#side.clear();
    this.#line.clear();
  }

  /** Whether the session is about to end or has ended. */
  get isEnding() {
    return this.#line.isEnding;
  }

  /** Hangs up, so that the rooms hear of a leave on purpose and not of a lost connection. */
  disconnect() {
    this.#line.stop();
    this.#feed.lost();
  }

  /** Goes on after a `disconnect`, and says why. */
  resume(text) {
    this.#line.start();
    this.#stage.desk.warn(text);
  }

  #feedHooks() {
    return {
      reconnect: () => this.#line.start(),
      shown: () => this.#stage.name,
      looking: () => this.#stage.looking,
      listed: () => this.#listed(),
      changed: (room) => room === this.#stage.name && this.#stage.changed(),
      heard: (event, isNews) => this.#stage.heard(event, isNews),
      posted: ({ room, sender }) => this.#stage.desk.stopped(room, sender),
      joined: () => this.#joined(),
      joinRefused: (room, ...why) => room === this.#stage.name && this.#stage.desk.joinRefused(...why),
      out: (...given) => this.#out(...given),
      invited: (row, sender) => this.#side.invited(row, sender),
      refused: (post, frame) => this.#giveBack(post, frame),
      presence: (frame) => this.#presence(frame),
      typing: ({ room, users }) => room === this.#stage.name && this.#stage.desk.typing(users),
      other: (frame) => this.#line.heard(frame) || (isRefusal(frame) && this.#stage.desk.tell(frame)),
    };
  }

  #stageHooks(send) {
    return {
      call: (...verb) => this.#feed.call(...verb),
      me: () => this.#me,
      listing: (room) => this.#feed.rooms.get(room),
      isFirst: (room) => room === this.#first,
      home: () => this.#show(this.#first),
      send: (room, text) => this.#feed.posts.send(room, text),
      retry: (id) => this.#feed.posts.retry(id),
      discard: (id) => this.#feed.posts.discard(id),
      page: (side, room) => this.#feed.history[side](room),
      paging: (room) => this.#feed.history.state(room),
      typing: (room) => send({ type: 'typing', room, id: TYPING }),
      looked: () => this.#reading.looked(),
    };
  }

  #live() {
    this.#stage.connected = true;
    this.#feed.relist(0);
  }

  #down(isFinal) {
    this.#stage.connected = !isFinal;
    this.#feed.lost();
  }

  #listed() {
    const room = this.#stage.name;
    const isIn = isMember(this.#feed.rooms.get(room)?.role);
    if (isIn) this.#stage.listed();
    else if (room) {
      this.#line.settled();
      this.#stage.removed(null);
    }
    this.#draw();
    this.#reading.looked();
  }

  #show(id) {
    const row = this.#feed.rooms.get(id);
    if (!row || !this.#memory) return;
    const window = this.#feed.rooms.window(id);
    this.#side.aside();
    if (this.#stage.room === window) return this.#stage.desk.focus();
    this.#reading.mark();
    if (this.#stage.name) this.#feed.rooms.aside(this.#stage.name);
    this.#memory.write(SHOWN, { room: row.room, title: row.title, public: row.public });
    this.#stage.open(window, { memory: this.#memory, limit: this.#limit });
    if (this.#feed.isLive(id) && window.top === null) this.#feed.history.older(window);
    this.#draw();
    return this.#stage.desk.focus();
  }

  #joined() {
    this.#line.settled();
    this.#stage.joined();
    this.#draw();
  }

  #out(room, event, title) {
    if (room !== this.#stage.name) {
      if (event && event.sender !== this.#me) this.#stage.desk.warn(`${title}: ${this.#stage.story(event)}.`);
    } else if (event?.change === 'left') this.#show(this.#first);
    else this.#stage.removed(event);
    this.#draw();
  }

  #presence(frame) {
    if (frame.room === this.#first) this.#feed.rooms.window(frame.room).presence(frame); // elsewhere members are told of
    if (frame.room === this.#stage.name) this.#stage.presence(frame);
  }

  /** A refused post goes back into the message box, or stays in the log for a retry when something else is written there. */
  #giveBack(post, frame) {
    if (!this.#stage.giveBack(post)) this.#feed.posts.keepFailed(post);
    this.#stage.desk.tell(frame);
  }

  #draw() {
    this.#side.draw(this.#feed.rooms, this.#stage.name);
  }
}

/** An error that a person has to know of: that nobody saw them writing is none. */
function isRefusal({ type, id }) {
  return type === 'error' && id !== TYPING;
}
