// One WebSocket: JSON frames both ways and a heartbeat.

const SILENCE_MS = 3500;
const PATIENCE_MS = 4000; // with SILENCE_MS well under ten seconds, within which a dead peer has to be noticed
const OPEN_MS = 10_000;

/**
 * A connection to /ws/chat as chat.v1, authenticated by the session cookie.
 *
 * Calls `opened()`, `received(frame)` for each frame and, exactly once, `closed({code, reason, opened})`. JavaScript sees a
 * refused handshake only as code 1006; so is a peer that stopped answering reported here.
 */
export class Socket {
  #socket;
  #hooks;
  #open = false;
  #over = false;
  #timer = 0;
  #asked = 0;
  #pings = 0;

  constructor(path, hooks) {
    const url = new URL(path, location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    this.#hooks = hooks;
    this.#socket = new WebSocket(url, ['chat.v1']);
    this.#socket.addEventListener('open', () => this.#opened());
    this.#socket.addEventListener('message', (event) => this.#received(event.data));
    this.#socket.addEventListener('close', ({ code, reason }) => this.#ended(code, reason));
    this.#timer = setTimeout(() => this.#abandon(), OPEN_MS);
  }

  /** Sends one frame; false when the connection is not open. */
  send(frame) {
    if (this.#over || this.#socket.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Asks for a sign of life now instead of after a silence. */
  probe() {
    if (this.#open && !this.#over) this.#ask();
  }

  close() {
    this.#socket.close(1000);
    this.#ended(1000, '');
  }

  #opened() {
    this.#open = true;
    this.#listen();
    this.#hooks.opened();
  }

  #received(text) {
    if (this.#over) return;
    this.#listen();
    const frame = JSON.parse(text);
    if (!(frame.type === 'ack' && String(frame.id).startsWith('ping-'))) this.#hooks.received(frame);
  }

  #listen() {
    this.#asked = 0;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), SILENCE_MS);
  }

  #ask() {
    this.#asked = performance.now();
    this.send({ type: 'ping', id: `ping-${(this.#pings += 1)}` });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#judge(), PATIENCE_MS);
  }

  #judge() {
    // A timer of a sleeping machine or a hidden tab fires late, before the frames that wait: look once more after them.
    const late = performance.now() - this.#asked > PATIENCE_MS + 1000;
    if (late) this.#ask();
    else this.#abandon();
  }

  #abandon() {
    this.#socket.close();
    this.#ended(1006, 'silent');
  }

  #ended(code, reason) {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#hooks.closed({ code, reason, opened: this.#open });
  }
}
