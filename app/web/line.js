// The line to the server: a connection, the credential that keeps it, and what a person is told of both.

import { request } from './api.js';
import { Connection } from './connection.js';
import { Link } from './link.js';

const REFRESH = 'refresh';

/** `hooks`: live(), down(isFinal): the connection's state changed; received(frame); unauthorised(problem): the session is over. */
export class Line {
  #connection;
  #link;
  #hooks;

  constructor(hooks) {
    this.#hooks = hooks;
    this.#connection = new Connection({
      request,
      state: (state) => this.#state(state),
      received: hooks.received,
      unauthorised: hooks.unauthorised,
    });
    this.#link = new Link({ reconnect: () => this.start() });
  }

  /** Connects now, and stays so. */
  start() {
    this.#connection.start();
  }

  stop() {
    this.#connection.stop();
  }

  /** False when there is no live connection to send it on. */
  send(frame) {
    return this.#connection.send(frame);
  }

  /** The room on the screen is there, or gone for good: either way nothing is waited for. */
  settled() {
    this.#link.joined();
  }

  clear() {
    this.#link.clear();
  }

  /** Whether the session is about to end or has ended. */
  get isEnding() {
    return this.#link.isEnding;
  }

  /** A frame that is about no room: true when it was about the connection. */
  heard(frame) {
    if (frame.id === REFRESH) this.#refreshed(frame);
    else if (frame.type === 'expiring') this.#refresh();
    else if (frame.type === 'going_away') this.#link.goingAway();
    else return false;
    return true;
  }

  #state(state) {
    this.#link.state(state);
    if (state.name === 'live') this.#hooks.live();
    else this.#hooks.down(state.name === 'stopped');
  }

  /** A fresh credential for the live connection, before the old one expires. */
  async #refresh() {
    try {
      const { access_token: token } = await request('POST', '/api/tokens');
      this.send({ type: 'refresh', token, id: REFRESH });
    } catch {
      this.#link.ending();
    }
  }

  #refreshed({ type, expires_at: expiresAt }) {
    if (type === 'ack') this.#link.refreshed(expiresAt);
    else if (type === 'error') this.#link.ending();
  }
}
