// How often what is asked: a few questions at a time, in turn, and none while nobody looks.

const AT_ONCE = 4; // of the page's questions; the edge and Prometheus have others to answer
const PER_SECOND = 6; // below the edge's ten, so that two pages at one address still pass
const BURST = 40;
const LONGEST = 5; // seconds that somebody who waits for an answer does not mind

/** What `ask()` gives; where the edge has had too much from this address, once more after the wait that it names. */
export async function patiently(ask) {
  try {
    return await ask();
  } catch (problem) {
    const seconds = problem.retryAfter ?? 1;
    if (problem.status !== 429 || seconds > LONGEST) throw problem;
    await new Promise((done) => setTimeout(done, seconds * 1000));
    return ask();
  }
}

/** Answers questions in the order in which they came, some at a time and not too many a second. */
export class Queue {
  #waiting = [];
  #running = 0;
  #tokens = BURST;
  #counted = performance.now();
  #timer = 0;

  /** The promise of what `ask()` gives once it was its turn; of null when it is not `wanted()` any more by then. */
  add(ask, wanted = () => true) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ask, wanted, resolve, reject });
      this.#next();
    });
  }

  #next() {
    clearTimeout(this.#timer);
    while (this.#waiting.length && this.#running < AT_ONCE) {
      if (!this.#waiting[0].wanted()) this.#waiting.shift().resolve(null);
      else if (this.#spend()) this.#run(this.#waiting.shift());
      else return void (this.#timer = setTimeout(() => this.#next(), 1000 / PER_SECOND));
    }
    return undefined;
  }

  #run({ ask, resolve, reject }) {
    this.#running += 1;
    ask()
      .then(resolve, reject)
      .finally(() => {
        this.#running -= 1;
        this.#next();
      });
  }

  #spend() {
    const now = performance.now();
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#counted) / 1000) * PER_SECOND);
    this.#counted = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
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
