// Draws a room's rows into the log, and keeps the reader's place in it.

import { element, setText } from './element.js';
import { people } from './words.js';

const GROUP_MS = 5 * 60_000;
const AT_BOTTOM_PX = 48;
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const STATUS = { sending: 'Sending', sent: 'Sent', failed: 'Not sent' };

/** The message list. `hooks`: retry(id), discard(id) for own posts that failed. */
export class View {
  #log;
  #list;
  #empty;
  #newest;
  #hooks;
  #drawn = new Map(); // row key → {item, look}
  #room = null;
  #due = false;
  #unseen = 0;
  #following = true;
  #top = 0;

  constructor({ log, list, empty, newest }, hooks) {
    this.#log = log;
    this.#list = list;
    this.#empty = empty;
    this.#newest = newest;
    this.#hooks = hooks;
    log.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#following && this.#toBottom()).observe(log);
    newest.addEventListener('click', () => {
      this.follow();
      log.focus({ preventScroll: true });
    });
  }

  /** Shows this room from now on. */
  open(room) {
    this.#room = room;
    this.#drawn.clear();
    this.#list.replaceChildren();
    this.#unseen = 0;
    this.#following = true;
    this.changed();
  }

  /** The rows changed: draws them with the next frame, many changes at once. `unseen` counts news from others. */
  changed(unseen = 0) {
    this.#unseen += this.#following ? 0 : unseen;
    if (this.#due) return;
    this.#due = true;
    const draw = () => {
      this.#due = false;
      this.#draw();
    };
    if (document.hidden) setTimeout(draw, 50); // a hidden page gets no animation frames
    else requestAnimationFrame(draw);
  }

  /** Scrolls to the newest message and stays there. */
  follow() {
    this.#following = true;
    this.#toBottom();
    this.#news();
  }

  #draw() {
    const rows = this.#room?.rows ?? [];
    this.#empty.hidden = rows.length > 0;
    this.#drop(rows);
    let before = null;
    let next = this.#list.firstChild;
    for (const row of rows) {
      const item = this.#item(row, before);
      if (item === next) next = next.nextSibling;
      else this.#list.insertBefore(item, next);
      before = row;
    }
    if (this.#following) this.#toBottom();
    this.#news();
  }

  #drop(rows) {
    const kept = new Set(rows.map((row) => row.key));
    for (const [key, { item }] of this.#drawn) {
      if (kept.has(key)) continue;
      item.remove();
      this.#drawn.delete(key);
    }
  }

  #item(row, before) {
    const look = appearance(row, before);
    const drawn = this.#drawn.get(row.key);
    if (drawn?.look === look) return drawn.item;
    const item = drawn?.item ?? element('li');
    this.#drawn.set(row.key, { item, look });
    if (row.kind === 'message') this.#message(item, row, look.includes('follows'));
    else note(item, row);
    return item;
  }

  #message(item, row, follows) {
    item.className = `message${row.own ? ' own' : ''}${follows ? ' follows' : ''} ${row.status}`;
    if (!item.firstChild) item.append(avatar(row), bubble(row));
    setText(item.querySelector('.sender'), row.own ? 'You' : row.sender);
    const time = item.querySelector('time');
    const when = new Date(row.time);
    setText(time, CLOCK.format(when));
    Object.assign(time, { dateTime: when.toISOString(), title: FULL.format(when) });
    if (row.own) this.#status(item.querySelector('.status'), row);
  }

  #status(place, row) {
    const actions = [];
    if (row.status === 'failed') {
      actions.push(action('Send again', () => this.#hooks.retry(row.id)));
      actions.push(action('Discard', () => this.#hooks.discard(row.id)));
    }
    place.replaceChildren(element('span', { textContent: STATUS[row.status] }), ...actions);
  }

  #toBottom() {
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  /** Only a reader who scrolls up stops following: a log that shrinks under a new notice is not scrolled by anybody. */
  #scrolled() {
    const top = this.#log.scrollTop;
    if (this.#log.scrollHeight - top - this.#log.clientHeight < AT_BOTTOM_PX) this.#following = true;
    else if (top < this.#top) this.#following = false;
    this.#top = top;
    this.#news();
  }

  #news() {
    if (this.#following) this.#unseen = 0;
    this.#newest.hidden = this.#following || this.#unseen === 0;
    const text = this.#unseen === 1 ? '1 new message' : `${this.#unseen} new messages`;
    if (this.#unseen) setText(this.#newest.querySelector('span'), text);
  }
}

/** Everything the drawing of a row depends on, as one string to compare. */
function appearance(row, before) {
  if (row.kind === 'presence') return [...row.changes].join();
  if (row.kind === 'gap') return 'gap';
  const follows =
    before?.kind === 'message' && before.sender === row.sender && Math.abs(row.time - before.time) < GROUP_MS;
  return `${row.status} ${row.time}${follows ? ' follows' : ''}`;
}

function note(item, row) {
  item.className = `note ${row.kind}`;
  item.replaceChildren(element('span', { textContent: row.kind === 'gap' ? row.text : movements(row.changes) }));
}

function movements(changes) {
  const names = (change) => [...changes].filter(([, done]) => done === change).map(([name]) => name);
  return ['joined', 'left']
    .map((change) => [names(change), change])
    .filter(([who]) => who.length)
    .map(([who, change]) => `${people(who)} ${change}`)
    .join(' · ');
}

function avatar(row) {
  const made = element('span', { className: 'avatar', 'aria-hidden': 'true', textContent: row.sender.slice(0, 1) });
  let hue = 0;
  for (const letter of row.sender) hue = (hue * 31 + letter.codePointAt(0)) % 360;
  made.style.setProperty('--hue', hue);
  return made;
}

function bubble(row) {
  const head = element('p', { className: 'head' }, element('span', { className: 'sender' }), ' ', element('time'));
  const text = element('p', { className: 'text', dir: 'auto', textContent: row.text });
  // the log announces what is added; a post's own progress is not worth hearing
  const status = row.own ? element('p', { className: 'status', 'aria-live': 'off' }) : null;
  return element('div', { className: 'bubble' }, head, text, status);
}

function action(label, run) {
  const button = element('button', { type: 'button', className: 'link', textContent: label });
  button.addEventListener('click', run);
  return button;
}
