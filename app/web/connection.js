// Staying connected: ask why, connect, reconnect with patience, and know when not to.

import { delaySeconds } from './backoff.js';
import { momentIn } from './countdown.js';
import { Socket } from './socket.js';
import { watchForSleep } from './wake.js';
import { isFinal, isTimed } from './words.js';

const PATH = '/ws/chat';
const STEADY_MS = 10_000; // a connection that lived this long was a good one: the next loss starts a new count
const FIRST_TERMINAL = 4500;
const LAST_TERMINAL = 4999;
const FLOOD = 4500;
const ENDED = { 4001: 'token_expired', 4501: 'token_revoked' }; // says more than the lack of a cookie that follows

/**
 * One lasting connection. `hooks`:
 *
 * - state(state): `{name: 'connecting' | 'live'}`, `{name: 'waiting', problem, until, timed}` (tries again by itself at `until`),
 *   or `{name: 'stopped', code, reason, problem, until}` (does not, `until` is the end of a cool-down if there is one);
 * - received(frame) while live;
 * - unauthorised(problem): the session is over; nothing is tried any more;
 * - request(method, path, body): api.js.
 */
export class Connection {
  #hooks;
  #socket = null;
  #timer = 0;
  #attempt = 0;
  #since = 0;
  #hint = 0;
  #timed = false; // whether the wait is the server's own
  #asking = false; // whether an answer is due that may never come over a network that was changed
  #code = 0; // of the last close
  #round = 0; // counts starts and stops, so that an answer that arrives after one is dropped

  constructor(hooks) {
    this.#hooks = hooks;
    watchForSleep(() => this.#wake());
    addEventListener('offline', () => this.#socket?.probe());
  }

  /** Connects now, also out of `waiting` and `stopped`. */
  start() {
    this.stop();
    this.#try();
  }

  /** Disconnects and stays so. */
  stop() {
    this.#round += 1;
    this.#asking = false;
    clearTimeout(this.#timer);
    this.#timer = 0;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  /** False when there is no live connection to send it on. */
  send(frame) {
    return this.#socket?.send(frame) ?? false;
  }

  async #try() {
    const round = (this.#round += 1);
    this.#timer = 0;
    this.#timed = false;
    this.#asking = true;
    this.#hooks.state({ name: 'connecting' });
    const problem = await this.#ask();
    if (round !== this.#round) return;
    this.#asking = false;
    if (!problem) this.#connect();
    else this.#refused(problem);
  }

  /** What the handshake would be refused for: a ticket passes the same gates, and its refusal can be read. */
  async #ask() {
    try {
      await this.#hooks.request('POST', '/api/tickets');
      return null;
    } catch (problem) {
      return problem;
    }
  }

  #connect() {
    const round = this.#round;
    const mine = (call) => (value) => round === this.#round && call(value);
    this.#socket = new Socket(PATH, {
      opened: mine(() => this.#opened()),
      received: mine((frame) => this.#received(frame)),
      closed: mine((close) => this.#closed(close)),
    });
  }

  #opened() {
    this.#since = performance.now();
    this.#hint = 0;
    this.#code = 0;
    this.#hooks.state({ name: 'live' });
  }

  #received(frame) {
    if (frame.type === 'going_away') this.#hint = frame.retry_after ?? 0;
    this.#hooks.received(frame);
  }

  #closed({ code, reason, opened }) {
    this.#socket = null;
    this.#code = code;
    if (opened && performance.now() - this.#since > STEADY_MS) this.#attempt = 0;
    if (code >= FIRST_TERMINAL && code <= LAST_TERMINAL) return this.#stopped(code, reason);
    return this.#wait({ problem: null, hint: this.#hint, timed: false });
  }

  async #stopped(code, reason) {
    const round = (this.#round += 1);
    this.#hooks.state({ name: 'stopped', code, reason, problem: null, until: null });
    const problem = await this.#ask();
    if (round !== this.#round) return;
    if (problem?.status === 401) this.#over(problem);
    else if (code === FLOOD && problem?.retryAfter) {
      const until = momentIn(problem.retryAfter);
      this.#hooks.state({ name: 'stopped', code, reason, problem, until });
    }
  }

  #refused(problem) {
    if (problem.status === 401) this.#over(problem);
    else if (isFinal(problem)) {
      this.#hooks.state({ name: 'stopped', code: 0, reason: '', problem, until: null });
    } else {
      this.#wait({ problem, hint: problem.retryAfter ?? this.#hint, timed: isTimed(problem) });
    }
  }

  #over({ reason, detail }) {
    this.#hooks.unauthorised({ reason: ENDED[this.#code] ?? reason, detail });
  }

  #wait({ problem, hint, timed }) {
    const seconds = delaySeconds(this.#attempt, hint);
    this.#attempt += 1;
    this.#hint = 0;
    this.#timed = timed;
    this.#hooks.state({ name: 'waiting', problem, until: momentIn(seconds), timed });
    this.#timer = setTimeout(() => this.#try(), seconds * 1000);
  }

  /** The network or the machine is back: no reason to sit out the rest of the wait, unless the server itself set it. */
  #wake() {
    this.#socket?.probe();
    if ((this.#timer || this.#asking) && !this.#socket && !this.#timed) this.start();
  }
}
