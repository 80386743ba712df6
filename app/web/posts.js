// Own posts from the moment they are sent until they are stored. A post keeps its id through every retry, and the server
// stores one id once, so that nothing is posted twice however often the connection breaks.

const ACK_SECONDS = 10;
const MOST_TRIES = 6;
const KEY = 'posts';

/**
 * The posts nobody confirmed yet. `hooks`:
 *
 * - transmit(frame): false when not connected; room: the Room; changed(): the room's rows changed;
 * - refused(post, frame): a refusal that a retry does not mend, or a throttle of a fresh post; the post is forgotten.
 */
export class Posts {
  #pending = new Map(); // id → {id, text, time, tries, again, timer, failed}
  #memory;
  #hooks;
  #joined = false;

  constructor(memory, hooks) {
    this.#memory = memory;
    this.#hooks = hooks;
    for (const { id, text, time, failed } of memory.read(KEY, [])) this.#keep({ id, text, time, failed, again: true });
  }

  /** Sends a new post. False, and nothing happened, when there is no joined room to send it to. */
  send(text) {
    if (!this.#joined) return false;
    const post = this.#keep({ id: crypto.randomUUID(), text, time: Date.now(), failed: false, again: false });
    this.#transmit(post);
    return true;
  }

  /** The room is joined: what was on its way is sent again. */
  joined() {
    this.#joined = true;
    for (const post of this.#pending.values()) if (!post.failed) this.#again(post);
  }

  /** The connection is lost: posts on their way wait for the next one. */
  lost() {
    this.#joined = false;
    for (const post of this.#pending.values()) {
      clearTimeout(post.timer);
      post.again = true;
    }
  }

  /** An `ack` of one of ours. */
  acked({ id, offset }) {
    if (!this.#pending.has(id)) return;
    this.#forget(id);
    this.#hooks.room.stored(id, offset);
    this.#hooks.changed();
  }

  /** An `error` frame: true when it was about one of ours. */
  refused(frame) {
    const post = this.#pending.get(frame.id);
    if (!post) return false;
    clearTimeout(post.timer);
    if (frame.code === 'busy' || (frame.code === 'rate_limited' && post.again)) this.#later(post, frame.retry_after);
    else {
      this.#forget(post.id);
      this.#hooks.room.remove(post.id);
      this.#hooks.refused(post, frame);
      this.#hooks.changed();
    }
    return true;
  }

  /** The person asks for another try of a failed post. */
  retry(id) {
    const post = this.#pending.get(id);
    if (!post || !this.#joined) return false;
    Object.assign(post, { failed: false, tries: 0 });
    this.#again(post);
    return true;
  }

  /** The person gives a failed post up; returns its text. */
  discard(id) {
    const post = this.#pending.get(id);
    this.#forget(id);
    this.#hooks.room.remove(id);
    this.#hooks.changed();
    return post?.text ?? '';
  }

  /** Keeps a refused post in the room, where its sender can retry it. */
  keepFailed({ id, text, time }) {
    this.#keep({ id, text, time, failed: true, again: true });
    this.#hooks.changed();
  }

  close() {
    this.lost();
    this.#pending.clear();
  }

  #keep(facts) {
    const post = { tries: 0, timer: 0, ...facts };
    this.#pending.set(post.id, post);
    this.#save();
    this.#hooks.room.posting(post);
    if (post.failed) this.#hooks.room.mark(post.id, 'failed');
    this.#hooks.changed();
    return post;
  }

  #again(post) {
    post.again = true;
    this.#hooks.room.mark(post.id, 'sending');
    this.#transmit(post);
    this.#hooks.changed();
  }

  #transmit(post) {
    clearTimeout(post.timer);
    post.tries += 1;
    this.#hooks.transmit({ type: 'post', room: this.#hooks.room.name, message: post.text, id: post.id });
    post.timer = setTimeout(() => this.#later(post, 0), ACK_SECONDS * 1000);
  }

  #later(post, seconds = 1) {
    clearTimeout(post.timer);
    if (post.tries >= MOST_TRIES) return this.#fail(post);
    post.again = true;
    const wait = seconds > 0 ? seconds + 0.1 + Math.random() * 0.4 : 0.1;
    post.timer = setTimeout(() => this.#joined && this.#again(post), wait * 1000);
    return undefined;
  }

  #fail(post) {
    post.failed = true;
    this.#save();
    this.#hooks.room.mark(post.id, 'failed');
    this.#hooks.changed();
  }

  #forget(id) {
    clearTimeout(this.#pending.get(id)?.timer);
    this.#pending.delete(id);
    this.#save();
  }

  #save() {
    this.#memory.write(
      KEY,
      [...this.#pending.values()].map(({ id, text, time, failed }) => ({ id, text, time, failed })),
    );
  }
}
