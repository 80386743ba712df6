// Own posts from the moment they are sent until they are stored. A post keeps its id through every retry, and the server
// stores one id once, so that nothing is posted twice however often the connection breaks.

const ACK_SECONDS = 10;
const MOST_TRIES = 6;
const MOST_WAITING = 50;
const KEY = 'posts';

/**
 * The posts nobody confirmed yet, in the order of writing. While a room is live its posts go out at once; what the connection
 * was lost for goes out again one by one, so that a throttle does not change the order. `hooks`:
 *
 * - transmit(frame): false when not connected; window(room): its Room; changed(room): its rows changed;
 * - refused(post, frame): a refusal that a retry does not mend, or a throttle of a fresh post; the post is forgotten.
 */
export class Posts {
  #pending = new Map(); // id → {id, room, text, time, tries, state, again, timer}; state is waiting, flying or failed
  #live = new Set(); // rooms that are joined now
  #memory;
  #hooks;

  constructor(memory, hooks) {
    this.#memory = memory;
    this.#hooks = hooks;
    for (const { failed, ...post } of memory.read(KEY, [])) {
      this.#keep({ ...post, state: failed ? 'failed' : 'waiting', again: true });
    }
  }

  /** Takes a new post. False, and nothing happened, when too many wait already. */
  send(room, text) {
    if (this.#pending.size >= MOST_WAITING) return false;
    const behind = this.#first(room, 'waiting') !== undefined || !this.#live.has(room);
    const post = this.#keep({ id: crypto.randomUUID(), room, text, time: Date.now(), state: 'waiting', again: behind });
    if (!behind) this.#transmit(post);
    return true;
  }

  /** The rows of a room begin anew: what is on its way there belongs to them. */
  show(room) {
    for (const post of this.#of(room)) this.#draw(post);
  }

  /** The room is live: what was on its way is sent again. */
  joined(room) {
    this.#live.add(room);
    this.#next(room);
  }

  /** The connection is lost, or only the room: posts on their way wait for the next one. */
  lost(room = null) {
    for (const post of this.#pending.values()) if (room === null || post.room === room) this.#ground(post);
    if (room === null) this.#live.clear();
    else this.#live.delete(room);
  }

  /** An `ack`: true when it was for one of ours. */
  acked({ id, offset }) {
    const post = this.#pending.get(id);
    if (!post) return false;
    this.#forget(post);
    this.#hooks.window(post.room).stored(id, offset);
    this.#hooks.changed(post.room);
    this.#next(post.room);
    return true;
  }

  /** An `error` frame: true when it was about one of ours. */
  refused(frame) {
    const post = this.#pending.get(frame.id);
    if (!post) return false;
    const throttled = frame.code === 'rate_limited' && post.again;
    if (frame.code === 'busy' || frame.code === 'not_joined' || throttled) this.#later(post, frame.retry_after);
    else {
      this.#drop(post);
      this.#hooks.refused(post, frame);
      this.#next(post.room);
    }
    return true;
  }

  /** The person asks for another try of a failed post. */
  retry(id) {
    const post = this.#pending.get(id);
    if (!post) return;
    Object.assign(post, { state: 'waiting', tries: 0, again: true });
    this.#pending.delete(id); // it goes to the end of the queue
    this.#pending.set(id, post);
    this.#save();
    this.#draw(post);
    this.#next(post.room);
  }

  /** The person gives a failed post up; returns its text. */
  discard(id) {
    const post = this.#pending.get(id);
    if (post) this.#drop(post);
    return post?.text ?? '';
  }

  /** Keeps a refused post in the room, where its sender can retry it. */
  keepFailed({ id, room, text, time }) {
    this.#keep({ id, room, text, time, state: 'failed', again: true });
  }

  /** Forgets what was never stored of a room that one is not in any more. */
  abandon(room) {
    for (const post of this.#of(room)) this.#drop(post);
  }

  close() {
    this.lost();
    this.#pending.clear();
  }

  #of(room) {
    return [...this.#pending.values()].filter((post) => post.room === room);
  }

  #first(room, state) {
    return this.#of(room).find((post) => post.state === state);
  }

  #keep(facts) {
    const post = { tries: 0, timer: 0, ...facts };
    this.#pending.set(post.id, post);
    this.#save();
    this.#draw(post);
    return post;
  }

  #draw(post) {
    const room = this.#hooks.window(post.room);
    room.posting(post);
    room.mark(post.id, post.state === 'failed' ? 'failed' : 'sending');
    this.#hooks.changed(post.room);
  }

  #next(room) {
    if (!this.#live.has(room) || this.#first(room, 'flying')) return;
    const post = this.#first(room, 'waiting');
    if (post && !post.timer) this.#transmit(post);
  }

  #transmit(post) {
    Object.assign(post, { state: 'flying', tries: post.tries + 1 });
    this.#hooks.transmit({ type: 'post', room: post.room, message: post.text, id: post.id });
    post.timer = setTimeout(() => this.#later(post, 0), ACK_SECONDS * 1000);
  }

  #ground(post) {
    clearTimeout(post.timer);
    post.timer = 0;
    if (post.state === 'flying') Object.assign(post, { state: 'waiting', again: true });
  }

  #later(post, seconds = 1) {
    this.#ground(post);
    if (post.tries >= MOST_TRIES) return this.#fail(post);
    post.again = true;
    const wait = seconds > 0 ? seconds + 0.1 + Math.random() * 0.4 : 0.1;
    post.timer = setTimeout(() => {
      post.timer = 0;
      this.#next(post.room);
    }, wait * 1000);
    return undefined;
  }

  #fail(post) {
    post.state = 'failed';
    this.#save();
    this.#draw(post);
    this.#next(post.room);
  }

  #drop(post) {
    this.#forget(post);
    this.#hooks.window(post.room).remove(post.id);
    this.#hooks.changed(post.room);
  }

  #forget({ id }) {
    clearTimeout(this.#pending.get(id)?.timer);
    this.#pending.delete(id);
    this.#save();
  }

  #save() {
    const kept = [...this.#pending.values()];
    this.#memory.write(
      KEY,
      kept.map(({ id, room, text, time, state }) => ({ id, room, text, time, failed: state === 'failed' })),
    );
  }
}
