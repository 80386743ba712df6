// One signed-in person's chat: the connection, the rooms behind it, and what of them is on the screen.

import { request } from './api.js';
import { browseRooms, createRoom } from './browse.js';
import { Connection } from './connection.js';
import { momentIn } from './countdown.js';
import { closeAll } from './dialog.js';
import { Drawer } from './drawer.js';
import { byId, setText } from './element.js';
import { Feed } from './feed.js';
import { Link } from './link.js';
import { Memory } from './memory.js';
import { Reading } from './reading.js';
import { isMember } from './roles.js';
import { Sidebar } from './sidebar.js';
import { Stage } from './stage.js';
import { answer } from './words.js';

const REFRESH = 'refresh';
const TYPING = 'typing';
const SHOWN = 'room'; // where the tab keeps which room was on the screen

/** The chat. `hooks`: unauthorised(problem). */
export class Chat {
  #connection;
  #feed;
  #link;
  #stage;
  #sidebar;
  #drawer;
  #reading;
  #me = '';
  #first = '';
  #limit = 500;
  #memory = null;

  constructor(hooks) {
    const send = (frame) => this.#connection.send(frame);
    this.#connection = new Connection({
      request,
      state: (state) => this.#state(state),
      received: (frame) => this.#feed.received(frame),
      unauthorised: (problem) => hooks.unauthorised(problem),
    });
    this.#feed = new Feed({ send, ...this.#feedHooks() });
    this.#link = new Link({ reconnect: () => this.#connection.start() });
    this.#stage = new Stage(this.#stageHooks(send));
    this.#sidebar = new Sidebar({
      open: (room) => this.#show(room),
      accept: (row) => this.#tried(this.#accept(row)),
      decline: (row) => this.#tried(this.#decline(row)),
    });
    this.#drawer = new Drawer(byId('side'), { wide: '(min-width: 52rem)', label: 'Rooms' });
    this.#reading = new Reading({
      room: () => (this.#stage.looking && this.#feed.isLive(this.#stage.name) ? this.#stage.room : null),
      mark: (room, offset) => this.#mark(room, offset),
    });
    this.#listen();
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
    this.#connection.start();
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
    this.#sidebar.clear();
    this.#link.clear();
    document.title = 'Portcullis';
  }

  /** Hangs up, so that the rooms hear of a leave on purpose and not of a lost connection. */
  disconnect() {
    this.#connection.stop();
    this.#feed.lost();
  }

  reconnect() {
    this.#connection.start();
  }

  /** Tells something that concerns the whole page. */
  warn(text) {
    this.#stage.warn(text);
  }

  #feedHooks() {
    return {
      reconnect: () => this.#connection.start(),
      shown: () => this.#stage.name,
      looking: () => this.#stage.looking,
      listed: () => this.#listed(),
      changed: (room) => room === this.#stage.name && this.#stage.changed(),
      heard: (event, isNews) => this.#stage.heard(event, isNews),
      joined: () => this.#joined(),
      joinRefused: (...given) => this.#joinRefused(...given),
      out: (...given) => this.#out(...given),
      invited: (row, sender) => this.#invited(row, sender),
      refused: (post, frame) => this.#giveBack(post, frame),
      presence: (frame) => this.#presence(frame),
      typing: ({ room, users }) => room === this.#stage.name && this.#stage.typing(users),
      other: (frame) => this.#other(frame),
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

  #listen() {
    const call = (...verb) => this.#feed.call(...verb);
    byId('show-rooms').addEventListener('click', () => this.#drawer.open());
    byId('close-rooms').addEventListener('click', () => this.#drawer.aside());
    const show = (room) => this.#tried(this.#entered(room));
    byId('create').addEventListener('click', () => createRoom({ call, show }));
    byId('browse').addEventListener('click', () => browseRooms({ call, show }));
    document.addEventListener('visibilitychange', () => {
      this.#reading.looked();
      if (!document.hidden && this.#memory) this.#feed.relist(); // what was read elsewhere meanwhile
    });
  }

  #state(state) {
    this.#link.state(state);
    this.#stage.connected = state.name !== 'stopped';
    if (state.name === 'live') this.#feed.relist(0);
    else this.#feed.lost();
  }

  #listed() {
    const room = this.#stage.name;
    const isIn = isMember(this.#feed.rooms.get(room)?.role);
    if (isIn) this.#stage.listed();
    else if (room) {
      this.#link.joined();
      this.#stage.removed(null);
    }
    this.#draw();
    this.#reading.looked();
  }

  #show(id) {
    const row = this.#feed.rooms.get(id);
    if (!row || !this.#memory) return;
    const window = this.#feed.rooms.window(id);
    this.#drawer.aside();
    if (this.#stage.room === window) return this.#stage.focus();
    this.#reading.mark();
    if (this.#stage.name) this.#feed.rooms.aside(this.#stage.name);
    this.#memory.write(SHOWN, { room: row.room, title: row.title, public: row.public });
    this.#stage.open(window, { memory: this.#memory, limit: this.#limit });
    if (this.#feed.isLive(id) && window.top === null) this.#feed.history.older(window);
    this.#draw();
    return this.#stage.focus();
  }

  async #accept({ room }) {
    await this.#feed.call('join', { room });
    await this.#entered(room);
  }

  /** A room that is new on the list. */
  async #entered(room) {
    await this.#feed.list();
    this.#show(room);
  }

  async #decline({ room }) {
    await this.#feed.call('leave', { room });
    await this.#feed.list();
  }

  async #tried(doing) {
    try {
      await doing;
    } catch (problem) {
      this.#stage.warn(answer(problem));
    }
  }

  #joined() {
    this.#link.joined();
    this.#stage.joined();
    this.#draw();
  }

  #joinRefused(room, problem, seconds) {
    if (room !== this.#stage.name) return;
    const text = `${answer({ reason: problem.reason, detail: problem.detail })} Trying again in {time}.`;
    this.#stage.warn(text, { tone: 'warn', until: momentIn(seconds) });
  }

  #out(room, event, title) {
    if (room !== this.#stage.name) {
      if (event && event.sender !== this.#me) this.#stage.warn(`${title}: ${this.#stage.story(event)}.`);
    } else if (event?.change === 'left') this.#show(this.#first);
    else this.#stage.removed(event);
    this.#draw();
  }

  #invited({ title }, sender) {
    const run = () => {
      this.#drawer.open();
      this.#sidebar.showInvitation();
    };
    this.#stage.warn(`${sender} invites you to ${title}.`, { tone: 'info', action: { label: 'Show', run } });
  }

  #presence(frame) {
    if (frame.room === this.#first) this.#feed.rooms.window(frame.room).presence(frame); // elsewhere members are told of
    if (frame.room === this.#stage.name) this.#stage.presence(frame);
  }

  #other(frame) {
    if (frame.type === 'ack' && frame.id === REFRESH) this.#link.refreshed(frame.expires_at);
    else if (frame.type === 'error') this.#error(frame);
    else if (frame.type === 'expiring') this.#refresh();
    else if (frame.type === 'going_away') this.#link.goingAway();
  }

  #error(frame) {
    if (frame.id === REFRESH) this.#link.ending();
    else if (frame.id !== TYPING) this.#stage.tell(frame);
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

  /** A refused post goes back into the message box, or stays in the log for a retry when something else is written there. */
  #giveBack(post, frame) {
    if (!this.#stage.giveBack(post)) this.#feed.posts.keepFailed(post);
    this.#stage.tell(frame);
  }

  #mark(room, offset) {
    if (!this.#feed.rooms.read(room, offset)) return;
    this.#connection.send({ type: 'read', room, offset });
    this.#draw();
  }

  #draw() {
    const { rooms } = this.#feed;
    this.#sidebar.draw(rooms, this.#stage.name);
    const title = rooms.get(this.#stage.name)?.title;
    const name = title ? `${title} · Portcullis` : 'Portcullis';
    document.title = rooms.unread ? `(${rooms.unread}) ${name}` : name;
  }
}
