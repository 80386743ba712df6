// The room on the screen: its head, its messages, and what is written into it.

import { corrections } from './corrections.js';
import { Desk } from './desk.js';
import { byId } from './element.js';
import { Head } from './head.js';
import { Members } from './members.js';
import { openMenu } from './menu.js';
import { told } from './story.js';
import { View } from './view.js';
import { answer } from './words.js';

/**
 * `hooks`: call(type, fields): calls.js; me(), listing(room), isFirst(room), home(); send(room, text), retry(id), discard(id):
 * own posts; page(side, room), paging(room): history.js; typing(room): one is writing; looked(): the place in the log changed.
 */
export class Stage {
  #hooks;
  #room = null; // room.js
  #title = '';
  #head;
  #view;
  #desk;
  #members;

  constructor(hooks) {
    this.#hooks = hooks;
    const listing = () => this.#listing;
    this.#view = new View(logParts(), {
      retry: hooks.retry,
      discard: (id) => this.#discard(id),
      actions: (row) => this.#actions(row),
      menu: (row, button) => openMenu(button, this.#actions(row), 'This message'),
      older: () => hooks.page('older', this.#room),
      newer: () => hooks.page('newer', this.#room),
      newest: () => hooks.page('newest', this.#room),
      paging: () => (this.#room ? hooks.paging(this.#room) : null),
      settled: () => hooks.looked(),
    });
    this.#desk = new Desk({
      send: (text) => this.#send(text),
      typing: () => hooks.typing(this.name),
      me: hooks.me,
      home: hooks.home,
    });
    this.#members = new Members({ call: hooks.call, listing, me: hooks.me });
    this.#head = new Head({ listing, isFirst: hooks.isFirst, change: (...given) => this.#change(...given) });
  }

  /** The room's id, or null. */
  get name() {
    return this.#room?.name ?? null;
  }

  /** Its rows, or null. */
  get room() {
    return this.#room;
  }

  /** What is written into it: desk.js. */
  get desk() {
    return this.#desk;
  }

  /** Whether this person sees a message of the room as it arrives. */
  get looking() {
    return !document.hidden && this.#view.following;
  }

  /** Shows a room. `draft` is {memory, limit}: where the draft is kept, and how long a message may be. */
  open(room, draft) {
    this.#room = room;
    this.#title = this.#listing.title;
    this.#desk.open({ room: room.name, title: this.#title }, draft);
    this.#view.open(room, this.#title);
    this.listed();
    this.#members.open();
  }

  /** The room's row in the list changed: its title, its settings or one's own role. */
  listed() {
    const listing = this.#listing;
    if (!listing) return;
    this.#title = listing.title;
    this.#head.draw();
    this.#view.title = listing.title;
    this.#desk.listed(listing);
    this.#view.changed();
  }

  /** The rows changed; `unseen` counts news from others. */
  changed(unseen = 0) {
    this.#room?.trim({ reading: !this.#view.following });
    this.#view.changed(unseen);
  }

  /** An event of this room, which its rows have taken in already; news is a message of somebody else. */
  heard(event, isNews) {
    this.changed(isNews ? 1 : 0);
    if (event.type !== 'member') return;
    if (event.user === this.#hooks.me()) this.#desk.heard(event);
    this.#members.changed();
  }

  presence(frame) {
    for (const name of frame.left ?? []) this.#desk.stopped(this.name, name);
    this.#members.presence(frame);
    this.changed();
  }

  /** The connection is there again. */
  joined() {
    this.listed();
    this.#members.changed();
  }

  /** What an event says, as a sentence. */
  story(event) {
    return told(event, this.#hooks.me());
  }

  /** One is out of the room: by this event, or nobody knows why. */
  removed(event) {
    this.#head.removed();
    this.#desk.removed(event, this.#title);
    this.#view.changed();
  }

  /** Whether there is somebody to write to: false while nothing tries to connect any more. */
  set connected(yes) {
    if (!yes) this.#desk.disconnected();
    else if (this.#listing) this.#desk.connected(this.#listing);
  }

  /** A refused post goes back into the message box; false when something else is written there. */
  giveBack(post) {
    return post.room === this.name && this.#desk.giveBack(post);
  }

  close() {
    this.#room = null;
    this.#desk.close();
    this.#members.open();
    this.#view.open(null);
  }

  get #listing() {
    return this.#room ? this.#hooks.listing(this.#room.name) : null;
  }

  #send(text) {
    const taken = this.#hooks.send(this.name, text);
    if (taken) this.#view.follow();
    return taken;
  }

  #discard(id) {
    this.#hooks.discard(id);
    this.#desk.focus();
  }

  async #change(verb, fields = {}, inDialog = false) {
    try {
      await this.#hooks.call(verb, { room: this.name, ...fields });
    } catch (problem) {
      if (!inDialog) this.#desk.warn(answer(problem));
      throw problem;
    }
  }

  #actions(row) {
    const listing = this.#listing;
    return listing ? corrections({ row, listing, change: (...given) => this.#change(...given) }) : [];
  }
}

function logParts() {
  const top = { top: byId('top'), topText: byId('top-text'), topButton: byId('older') };
  return { log: byId('log'), list: byId('messages'), empty: byId('empty'), newest: byId('newest'), ...top };
}
