// What a person is told about the connection.

import { byId, setText } from './element.js';
import { Notice } from './notice.js';
import { closing, refusal } from './words.js';

const WORDS = {
  connecting: 'Connecting',
  joined: 'Connected',
  waiting: 'Reconnecting',
  stopped: 'Disconnected',
  offline: 'Offline',
};
const SOON_SECONDS = 90;
const QUIET_MS = 400; // most reconnects are over by then, and a banner that flashes helps nobody
const SLOW_MS = 1000; // an attempt that takes longer is worth a word

/** The state in the header and the banner above the messages. `hooks`: reconnect(). */
export class Link {
  #pill = byId('state');
  #notice = new Notice(byId('link-notice'), byId('message'));
  #offline = new Notice(byId('offline'));
  #hooks;
  #state = 'connecting';
  #later = 0;
  #leaving = false;
  #was = false; // connected before
  #ending = false;

  constructor(hooks) {
    this.#hooks = hooks;
    addEventListener('offline', () => this.#network());
    addEventListener('online', () => this.#network());
    this.#network();
  }

  /** A state of connection.js. */
  state(state) {
    clearTimeout(this.#later);
    if (state.name === 'waiting') this.#waiting(state);
    else if (state.name === 'stopped') this.#stopped(state);
    else if (!this.#notice.shown) this.#connecting();
  }

  /** The room is there again. */
  joined() {
    this.#leaving = false;
    this.#was = true;
    clearTimeout(this.#later);
    this.#notice.clear();
    this.#say('joined');
  }

  goingAway() {
    this.#leaving = true;
    this.#notice.show({ text: 'The server is about to restart. You will be reconnected by itself.' });
  }

  /** Whether the session, which cannot be prolonged, is about to end or has ended. */
  get isEnding() {
    return this.#ending;
  }

  /** The session cannot be prolonged. */
  ending() {
    this.#ending = true;
    this.#notice.show({ text: 'Your session ends soon. Sign in again to stay; your draft is kept.', tone: 'warn' });
  }

  /** The credential was prolonged until then (Unix seconds): never past the end of the session itself. */
  refreshed(expiresAt) {
    if (expiresAt - Date.now() / 1000 < SOON_SECONDS) return this.ending();
    this.#ending = false;
    return this.#notice.clear();
  }

  clear() {
    this.#was = false;
    this.#ending = false;
    clearTimeout(this.#later);
    this.#notice.clear();
    this.#say('connecting');
  }

  #connecting() {
    this.#say('connecting');
    this.#later = setTimeout(() => this.#trying(this.#was ? `${this.#lost()} ` : ''), SLOW_MS);
  }

  #waiting({ problem, until, timed }) {
    this.#say('waiting');
    const why = problem ? refusal(problem) : this.#lost();
    const action = timed ? null : { label: 'Try now', run: () => this.#hooks.reconnect() };
    const show = () =>
      this.#notice.show({ text: `${why} Reconnecting in {time}.`, tone: 'warn', until, action, over: () => this.#trying(`${why} `) });
    if (problem || this.#notice.shown) show();
    else this.#later = setTimeout(show, QUIET_MS);
  }

  #lost() {
    return this.#leaving ? 'The server is restarting.' : 'The connection was lost.';
  }

  #trying(why = '') {
    this.#notice.show({ text: `${why}${this.#was ? 'Reconnecting' : 'Connecting'} now.`, tone: 'warn' });
  }

  #stopped({ code, reason, problem, until }) {
    this.#say('stopped');
    const why = code ? closing(code, reason) : refusal(problem);
    const action = { label: 'Reconnect', run: () => this.#hooks.reconnect() };
    if (until === null) return this.#notice.show({ text: why, tone: 'danger', action });
    const over = () => this.#notice.show({ text: `${why} You can come back now.`, tone: 'warn', action });
    const text = `${why} Your draft is kept. You can come back in {time}.`;
    return this.#notice.show({ text, tone: 'danger', until, over });
  }

  #network() {
    this.#draw();
    if (navigator.onLine) this.#offline.clear();
    else this.#offline.show({ text: 'You are offline. What you write is sent when you are back.', tone: 'warn' });
  }

  #say(state) {
    this.#state = state;
    this.#draw();
  }

  /** Without a network nobody is connected, though it may take the socket a while to notice. */
  #draw() {
    const state = navigator.onLine ? this.#state : 'offline';
    this.#pill.dataset.state = state;
    setText(this.#pill, WORDS[state]);
  }
}
