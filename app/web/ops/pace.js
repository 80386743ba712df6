// How often what is asked: a few questions at a time, in turn, and none while nobody looks.

const AT_ONCE = 4; // of the page's questions; the edge and Prometheus have others to answer

/** Answers questions in the order in which they came, some at a time. */
export class Queue {
  #waiting = [];
  #running = 0;

  /** The promise of what `ask()` gives, once it was its turn. */
  add(ask) {
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => ask().then(resolve, reject));
      this.#next();
    });
  }

  #next() {
    while (this.#running < AT_ONCE && this.#waiting.length) {
      this.#running += 1;
      this.#waiting.shift()().finally(() => {
        this.#running -= 1;
        this.#next();
      });
    }
  }
}

/** Calls `tick()`, and again so many seconds after it is done; a hidden tab waits until it is looked at. */
export class Pace {
  #tick;
  #seconds;
  #timer = 0;
  #due = 0;
  #busy = false;
  #stopped = true;

  constructor(seconds, tick) {
    this.#seconds = seconds;
    this.#tick = tick;
    document.addEventListener('visibilitychange', () => this.#plan());
  }

  /** Begins, or begins anew with another pace: the next tick is now. */
  start(seconds = this.#seconds) {
    this.#seconds = seconds;
    this.#stopped = false;
    this.#due = 0;
    this.#plan();
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #plan() {
    clearTimeout(this.#timer);
    if (this.#stopped || this.#busy || document.hidden) return;
    this.#timer = setTimeout(() => this.#run(), Math.max(0, this.#due - performance.now()));
  }

  async #run() {
    this.#busy = true;
    this.#due = performance.now() + this.#seconds * 1000;
    try {
      await this.#tick();
    } finally {
      this.#busy = false;
      this.#plan();
    }
  }
}
