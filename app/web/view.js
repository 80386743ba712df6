// Draws a room's rows into the log, and keeps the reader's place in it.

import { element, setText } from './element.js';
import { appearance, draw } from './message.js';
import { answer } from './words.js';

const AT_BOTTOM_PX = 48;
const NEAR_EDGE_PX = 240;

/**
 * The message list. `hooks`: retry(id), discard(id) for own posts that failed; actions(row): what its menu offers; menu(row,
 * button); older(), newer(), newest() load pages; paging(): 'loading', a Problem or null; settled(): the place in the log changed.
 */
export class View {
  #log;
  #list;
  #parts;
  #hooks;
  #drawn = new Map(); // row key → {item, look, row}
  #room = null;
  #title = '';
  #due = false;
  #unseen = 0;
  #following = true;
  #last = 0;

  constructor({ log, list, ...parts }, hooks) {
    this.#log = log;
    this.#list = list;
    this.#parts = parts; // empty, newest, top, topText, topButton
    this.#hooks = hooks;
    log.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    log.addEventListener('keydown', (event) => this.#pressed(event));
    new ResizeObserver(() => this.#following && this.#toBottom()).observe(log);
    parts.topButton.addEventListener('click', () => hooks.older());
    parts.newest.addEventListener('click', () => {
      this.follow();
      log.focus({ preventScroll: true });
    });
  }

  /** Shows this room from now on. */
  open(room, title = '') {
    this.#room = room;
    this.#title = title;
    this.#drawn.clear();
    this.#list.replaceChildren();
    this.#unseen = 0;
    this.#following = true;
    this.changed();
  }

  /** Whether the newest message is in view, and stays so. */
  get following() {
    return this.#following && (this.#room?.atEnd ?? false);
  }

  set title(title) {
    this.#title = title;
  }

  /** The rows changed: draws them with the next frame, many changes at once. `unseen` counts news from others. */
  changed(unseen = 0) {
    this.#unseen += this.following ? 0 : unseen;
    if (this.#due) return;
    this.#due = true;
    const drawn = () => {
      this.#due = false;
      this.#draw();
    };
    if (document.hidden) setTimeout(drawn, 50); // a hidden page gets no animation frames
    else requestAnimationFrame(drawn);
  }

  /** Scrolls to the newest message and stays there. */
  follow() {
    this.#following = true;
    if (this.#room && !this.#room.atEnd) this.#hooks.newest();
    this.#toBottom();
    this.#news();
  }

  /** The focus goes to this row. */
  focus(row) {
    this.#drawn.get(row.key)?.item.focus();
  }

  #draw() {
    const rows = this.#room?.rows ?? [];
    this.#parts.empty.hidden = rows.length > 0 || !['beginning', 'removed'].includes(this.#room?.top);
    const place = this.#place();
    this.#top(rows);
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
    else this.#restore(place);
    this.#news();
    this.#reach();
    this.#hooks.settled();
  }

  /** Which row the reader looks at, and where it stands: rows above may come and go. */
  #place() {
    const edge = this.#log.getBoundingClientRect().top;
    for (const item of this.#list.children) {
      const { top, bottom } = item.getBoundingClientRect();
      if (bottom > edge) return { item, top };
    }
    return null;
  }

  #restore(place) {
    if (!place?.item.isConnected) return;
    const moved = place.item.getBoundingClientRect().top - place.top;
    if (Math.abs(moved) >= 1) this.#log.scrollTop += moved;
    this.#last = this.#log.scrollTop;
  }

  #top(rows) {
    const { top, topText, topButton } = this.#parts;
    const state = this.#hooks.paging();
    const said = this.#room?.top;
    topButton.hidden = state === 'loading' || said === 'beginning' || said === 'removed' || (!said && !state);
    if (state === 'loading') setText(topText, 'Loading messages');
    else if (state) setText(topText, `Older messages could not be loaded. ${answer(state)}`);
    else if (said === 'beginning') setText(topText, `This is the beginning of ${this.#title}.`);
    else setText(topText, said === 'removed' ? 'Older messages were removed.' : '');
    top.hidden = !this.#room || (said === 'beginning' && rows.length === 0);
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
    const look = appearance(row, before, this.#hooks.actions(row).length > 0);
    const drawn = this.#drawn.get(row.key);
    if (drawn?.look === look) return drawn.item;
    const item = drawn?.item ?? element('li');
    this.#drawn.set(row.key, { item, look, row });
    draw(item, row, look, this.#hooks);
    return item;
  }

  #toBottom() {
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#last = this.#log.scrollTop;
  }

  /** Only a reader who scrolls up stops following: a log that shrinks under a new notice is not scrolled by anybody. */
  #scrolled() {
    const top = this.#log.scrollTop;
    if (this.#log.scrollHeight - top - this.#log.clientHeight < AT_BOTTOM_PX) this.#following = true;
    else if (top < this.#last) this.#following = false;
    this.#last = top;
    this.#news();
    this.#reach();
    this.#hooks.settled();
  }

  /** Near an edge of the window its next page is asked for, unless the last one was refused. */
  #reach() {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    if (!this.#room || this.#hooks.paging()) return;
    if (this.#room.top === 'more' && scrollTop < NEAR_EDGE_PX) this.#hooks.older();
    else if (!this.#room.atEnd && scrollHeight - scrollTop - clientHeight < NEAR_EDGE_PX) this.#hooks.newer();
  }

  #news() {
    if (this.following) this.#unseen = 0;
    const away = !(this.#room?.atEnd ?? true);
    this.#parts.newest.hidden = this.following || (this.#unseen === 0 && !away);
    const news = this.#unseen === 1 ? '1 new message' : `${this.#unseen} new messages`;
    setText(this.#parts.newest.querySelector('span'), this.#unseen ? news : 'To the newest messages');
  }

  /** Arrows walk from message to message, Enter opens what can be done with one. */
  #pressed(event) {
    const item = document.activeElement.closest('.message');
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step && document.activeElement.matches('.log, .message')) this.#walk(item, step);
    else if (event.key === 'Enter' && item === document.activeElement) item.querySelector('.more')?.click();
    else if (event.key === 'Escape' && item) this.#log.focus({ preventScroll: true });
    else return;
    event.preventDefault();
  }

  #walk(item, step) {
    const items = [...this.#list.querySelectorAll('.message')];
    const to = item ? items.indexOf(item) + step : items.length - 1;
    items[to]?.focus();
  }
}
