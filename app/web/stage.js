// The room on the screen: its head, its messages, and what is written into it.

import { Composer } from './composer.js';
import { corrections } from './corrections.js';
import { momentIn } from './countdown.js';
import { byId, setText } from './element.js';
import { Members } from './members.js';
import { openMenu } from './menu.js';
import { Notice } from './notice.js';
import { may } from './roles.js';
import { Standing } from './standing.js';
import { steps } from './stewardship.js';
import { told } from './story.js';
import { Typing } from './typing.js';
import { View } from './view.js';
import { answer, postError, throttle } from './words.js';

const READABLE_SECONDS = 6; // most throttles last under a second: what they said has to stay long enough to be read

/**
 * `hooks`: call(type, fields): calls.js; me(), listing(room), isFirst(room), home(); send(room, text), retry(id), discard(id):
 * own posts; page(side, room), paging(room): history.js; typing(room): one is writing; looked(): the place in the log changed.
 */
export class Stage {
  #hooks;
  #room = null; // room.js
  #title = '';
  #view;
  #composer;
  #typing;
  #members;
  #standing;
  #notice = new Notice(byId('post-notice'), byId('message'));

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
    this.#composer = new Composer(boxParts(), { send: (text) => this.#send(text), typed: () => this.#typing.wrote() });
    this.#typing = new Typing(byId('typing'), { say: () => hooks.typing(this.name) });
    this.#members = new Members({ call: hooks.call, listing, me: hooks.me });
    this.#standing = new Standing({ live: (yes) => (this.#composer.live = yes), me: hooks.me, home: hooks.home });
    const more = byId('room-menu');
    more.addEventListener('click', () => openMenu(more, this.#steps(), 'This room'));
  }

  /** The room's id, or null. */
  get name() {
    return this.#room?.name ?? null;
  }

  /** Its rows, or null. */
  get room() {
    return this.#room;
  }

  /** Whether this person sees a message of the room as it arrives. */
  get looking() {
    return !document.hidden && this.#view.following;
  }

  /** Shows a room. `draft` is {memory, limit}: where the draft is kept, and how long a message may be. */
  open(room, draft) {
    this.#room = room;
    this.#typing.clear();
    this.#standing.clear();
    this.#notice.clear();
    this.#title = this.#listing.title;
    this.#composer.open({ ...draft, room: room.name, title: this.#title });
    this.#composer.live = true;
    this.#view.open(room, this.#title);
    this.listed();
    this.#members.open();
  }

  /** The room's row in the list changed: its title, its settings or one's own role. */
  listed() {
    const listing = this.#listing;
    if (!listing) return;
    this.#title = listing.title;
    setText(byId('room-name'), listing.title);
    setText(byId('room-hint'), hint(listing, this.#hooks.isFirst(listing.room)));
    byId('room-kind').setAttribute('href', listing.public ? '#icon-public' : '#icon-private');
    byId('log').setAttribute('aria-label', `Messages in ${listing.title}`);
    this.#composer.title = listing.title;
    this.#view.title = listing.title;
    byId('room-menu').hidden = this.#steps().length === 0;
    byId('show-members').hidden = !may(listing.role, 'members');
    this.#standing.settle(listing);
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
    if (event.type === 'message') this.#typing.stopped(event.sender);
    if (event.type !== 'member') return;
    if (event.user === this.#hooks.me()) this.#standing.heard(event);
    this.#members.changed();
  }

  typing(names) {
    this.#typing.heard(names.filter((name) => name !== this.#hooks.me()));
  }

  presence(frame) {
    for (const name of frame.left ?? []) this.#typing.stopped(name);
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
    this.#typing.clear();
    byId('room-menu').hidden = true;
    byId('show-members').hidden = true;
    this.#standing.removed(event, this.#title);
    this.#view.changed();
  }

  /** Whether there is somebody to write to: false while nothing tries to connect any more. */
  set connected(yes) {
    if (!yes) this.#composer.live = false;
    else if (this.#listing) this.#standing.resettle(this.#listing);
  }

  focus() {
    this.#composer.focus();
  }

  /** A refused post goes back into the message box; false when something else is written there. */
  giveBack(post) {
    if (post.room !== this.name || this.#composer.text.trim() !== '') return false;
    this.#composer.text = post.text;
    return true;
  }

  /** Why something that was sent was refused. */
  tell({ code, error, limit, retry_after: seconds }) {
    if (code !== 'rate_limited') return this.warn(postError(code, error));
    const until = momentIn(seconds ?? 1);
    this.#composer.pause(until);
    const { lasting, over } = throttle(limit);
    const settle = () => this.#notice.show({ text: over, until: momentIn(READABLE_SECONDS) });
    return this.#notice.show({ text: lasting, tone: 'warn', until, over: settle });
  }

  warn(text, more = {}) {
    this.#notice.show({ text, tone: 'danger', ...more });
  }

  close() {
    this.#room = null;
    this.#typing.clear();
    this.#standing.clear();
    this.#notice.clear();
    this.#composer.close();
    this.#members.open();
    this.#view.open(null);
  }

  get #listing() {
    return this.#room ? this.#hooks.listing(this.#room.name) : null;
  }

  #send(text) {
    if (!this.#hooks.send(this.name, text.toWellFormed?.() ?? text)) {
      this.warn('Too many messages wait to be sent. Wait until the connection is back.');
      return false;
    }
    this.#notice.clear();
    this.#typing.sent();
    this.#view.follow();
    return true;
  }

  #discard(id) {
    this.#hooks.discard(id);
    this.#composer.focus();
  }

  #steps() {
    const listing = this.#listing;
    return listing ? steps({ listing, isLobby: this.#hooks.isFirst(listing.room), change: (...given) => this.#change(...given) }) : [];
  }

  async #change(verb, fields = {}, inDialog = false) {
    try {
      await this.#hooks.call(verb, { room: this.name, ...fields });
    } catch (problem) {
      if (!inDialog) this.warn(answer(problem));
      throw problem;
    }
  }

  #actions(row) {
    const listing = this.#listing;
    return listing ? corrections({ row, listing, change: (...given) => this.#change(...given) }) : [];
  }
}

function hint({ public: open, slow_seconds: slow }, isFirst) {
  const slowly = slow ? ` One message in ${slow} s.` : '';
  if (isFirst) return `Everybody on this server can read along.${slowly}`;
  return (open ? 'Everybody on this server can join.' : 'Only who was invited can read along.') + slowly;
}

function logParts() {
  const top = { top: byId('top'), topText: byId('top-text'), topButton: byId('older') };
  return { log: byId('log'), list: byId('messages'), empty: byId('empty'), newest: byId('newest'), ...top };
}

function boxParts() {
  const counters = { counter: byId('counter'), counterText: byId('counter-text') };
  return { form: byId('composer'), box: byId('message'), button: byId('send'), ...counters };
}
