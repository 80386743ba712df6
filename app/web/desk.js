// What is written into the room on the screen: the message box, who else writes, whether one may, and why not.

import { Composer } from './composer.js';
import { momentIn } from './countdown.js';
import { byId } from './element.js';
import { Notice } from './notice.js';
import { Standing } from './standing.js';
import { Typing } from './typing.js';
import { answer, postError, throttle } from './words.js';

const READABLE_SECONDS = 6; // most throttles last under a second: what they said has to stay long enough to be read

/** `hooks`: send(text): true when it was taken; typing(): one is writing; me(): one's own name; home(): goes to the first room. */
export class Desk {
  #hooks;
  #composer;
  #typing;
  #standing;
  #notice = new Notice(byId('post-notice'), byId('message'));

  constructor(hooks) {
    this.#hooks = hooks;
    this.#composer = new Composer(boxParts(), { send: (text) => this.#send(text), typed: () => this.#typing.wrote() });
    this.#typing = new Typing(byId('typing'), { say: hooks.typing });
    this.#standing = new Standing({ live: (yes) => (this.#composer.live = yes), me: hooks.me, home: hooks.home });
  }

  /** Another room is on the screen. `draft` is {memory, limit}: where the draft is kept, and how long a message may be. */
  open({ room, title }, draft) {
    this.#typing.open(room);
    this.#standing.clear();
    this.#notice.clear();
    this.#composer.open({ ...draft, room, title });
    this.#composer.live = true;
  }

  close() {
    this.#typing.open(null);
    this.#standing.clear();
    this.#notice.clear();
    this.#composer.close();
  }

  /** The room's row in the list changed: its title, or whether one may write. */
  listed(listing) {
    this.#composer.title = listing.title;
    this.#standing.settle(listing);
  }

  /** A member event that concerns oneself. */
  heard(event) {
    this.#standing.heard(event);
  }

  /** Somebody's message is in that room, or they have gone from it. */
  stopped(room, name) {
    this.#typing.stopped(room, name);
  }

  typing(names) {
    this.#typing.heard(names.filter((name) => name !== this.#hooks.me()));
  }

  /** One is out of the room: by this event, or nobody knows why. */
  removed(event, title) {
    this.#typing.open(null);
    this.#standing.removed(event, title);
  }

  /** Nothing tries to connect any more: there is nobody to write to. */
  disconnected() {
    this.#composer.live = false;
  }

  /** Something tries again; says once more what the room allows. */
  connected(listing) {
    this.#standing.resettle(listing);
  }

  focus() {
    this.#composer.focus();
  }

  /** A refused post goes back into the message box; false when something else is written there. */
  giveBack({ text }) {
    if (this.#composer.text.trim() !== '') return false;
    this.#composer.text = text;
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

  /** Why the room does not let one in yet, and when it is asked again. */
  joinRefused({ reason, detail }, seconds) {
    this.warn(`${answer({ reason, detail })} Trying again in {time}.`, { tone: 'warn', until: momentIn(seconds) });
  }

  warn(text, more = {}) {
    this.#notice.show({ text, tone: 'danger', ...more });
  }

  #send(text) {
    if (!this.#hooks.send(text.toWellFormed?.() ?? text)) {
      this.warn('Too many messages wait to be sent. Wait until the connection is back.');
      return false;
    }
    this.#notice.clear();
    this.#typing.sent();
    return true;
  }
}

function boxParts() {
  const counters = { counter: byId('counter'), counterText: byId('counter-text') };
  return { form: byId('composer'), box: byId('message'), button: byId('send'), ...counters };
}
