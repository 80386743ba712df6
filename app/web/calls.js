// Questions to the server on the live connection, each with its answer.

import { Problem } from './api.js';

const ANSWER_MS = 15_000;

/** `send(frame)` is false while there is no connection. Every failure arrives as a Problem, as it does over HTTP. */
export class Calls {
  #waiting = new Map(); // id → {resolve, reject, timer}
  #send;

  constructor(send) {
    this.#send = send;
  }

  /**
   * The frame that answers this verb. The id is never used twice: the server stores a change with the same id once.
   */
  call(type, fields = {}) {
    const id = crypto.randomUUID();
    return new Promise((resolve, reject) => {
      if (!this.#send({ type, id, ...fields })) return reject(unanswered('offline'));
      const timer = setTimeout(() => this.#take(id)?.reject(unanswered('unreachable')), ANSWER_MS);
      return this.#waiting.set(id, { resolve, reject, timer });
    });
  }

  /** A frame that answers one of ours is handed over: true. */
  answered(frame) {
    const waiting = frame.id === undefined ? null : this.#take(frame.id);
    if (!waiting) return false;
    if (frame.type === 'error') waiting.reject(refused(frame));
    else waiting.resolve(frame);
    return true;
  }

  /** The connection is gone, and with it whatever would have been answered on it. */
  lost() {
    for (const id of [...this.#waiting.keys()]) this.#take(id).reject(unanswered('unanswered'));
  }

  #take(id) {
    const waiting = this.#waiting.get(id);
    clearTimeout(waiting?.timer);
    this.#waiting.delete(id);
    return waiting;
  }
}

function unanswered(reason) {
  return new Problem({ status: 0, reason });
}

function refused({ code, error, limit = null, retry_after: retryAfter = null }) {
  return new Problem({ status: 400, reason: code, detail: error, retryAfter, limit });
}
