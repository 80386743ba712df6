// One row of a room as an element of the log.

import { element, button, icon, setText } from './element.js';
import { people } from './words.js';

const GROUP_MS = 5 * 60_000;
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const STATUS = { sending: 'Sending', sent: 'Sent', failed: 'Not sent' };

/** Everything the drawing of a row depends on, as one string to compare. */
export function appearance(row, before, hasMenu) {
  const day = row.time && before?.time && sameDay(row.time, before.time) ? '' : ' day';
  if (row.kind === 'presence') return [...row.changes].join();
  if (row.kind !== 'message') return `${row.kind}${day}`;
  const follows = before?.kind === 'message' && before.sender === row.sender && row.time - before.time < GROUP_MS;
  const marks = `${day}${follows && !day ? ' follows' : ''}${hasMenu ? ' menu' : ''}${row.deleted ? ' gone' : ''}`;
  return `${row.status} ${row.time} ${row.edited} ${row.deleted?.by ?? ''}${marks}`;
}

/** Draws a row into its item. `hooks`: retry(id), discard(id), menu(row, button). */
export function draw(item, row, look, hooks) {
  const words = look.split(' ');
  const has = (mark) => words.includes(mark);
  if (row.kind !== 'message') note(item, row);
  else {
    item.className = ['message', row.own && 'own', has('follows') && 'follows', row.status].filter(Boolean).join(' ');
    item.tabIndex = -1;
    if (!item.firstChild) item.append(avatar(row), bubble(row));
    head(item, row);
    body(item, row);
    more(item, row, has('menu'), hooks);
    if (row.own) status(item.querySelector('.status'), row, hooks);
  }
  if (row.isOld) item.setAttribute('aria-live', 'off'); // the log announces what is said, not what was looked up
  item.classList.toggle('new-day', has('day') && row.kind !== 'gap');
  item.dataset.day = DAY.format(row.time ?? Date.now());
}

function sameDay(one, other) {
  return new Date(one).toDateString() === new Date(other).toDateString();
}

function note(item, row) {
  item.className = `note ${row.kind}`;
  const text = row.kind === 'presence' ? movements(row.changes) : row.text;
  const when = row.kind === 'event' ? FULL.format(row.time) : '';
  item.replaceChildren(element('span', { textContent: text, title: when }));
}

function movements(changes) {
  const names = (change) => [...changes].filter(([, done]) => done === change).map(([name]) => name);
  return ['joined', 'left']
    .map((change) => [names(change), change])
    .filter(([who]) => who.length)
    .map(([who, change]) => `${people(who)} ${change}`)
    .join(' · ');
}

/** A square with the first letter of a name, in a colour that belongs to the name. */
export function avatar({ sender }) {
  const made = element('span', { className: 'avatar', 'aria-hidden': 'true', textContent: sender.slice(0, 1) });
  let hue = 0;
  for (const letter of sender) hue = (hue * 31 + letter.codePointAt(0)) % 360;
  made.style.setProperty('--hue', hue);
  return made;
}

function bubble(row) {
  const top = element('p', { className: 'head' }, element('span', { className: 'sender' }), ' ', element('time'));
  const line = element('div', { className: 'line' }, element('p', { className: 'text', dir: 'auto' }));
  // the log announces what is added; a post's own progress is not worth hearing
  const state = row.own ? element('p', { className: 'status', 'aria-live': 'off' }) : null;
  return element('div', { className: 'bubble' }, top, line, state);
}

function head(item, row) {
  setText(item.querySelector('.sender'), row.own ? 'You' : row.sender);
  const time = item.querySelector('time');
  const when = new Date(row.time);
  setText(time, CLOCK.format(when));
  Object.assign(time, { dateTime: when.toISOString(), title: FULL.format(when) });
}

function body(item, row) {
  const text = item.querySelector('.text');
  text.classList.toggle('gone', Boolean(row.deleted));
  setText(text, row.deleted ? tombstone(row) : row.text);
  item.querySelector('.edited')?.remove();
  if (!row.edited || row.deleted) return;
  const title = `Edited ${FULL.format(row.edited * 1000)}`;
  text.after(element('span', { className: 'edited', textContent: 'edited', title }));
}

function tombstone({ sender, own, deleted: { by, reason } }) {
  const who = by === null || by === sender ? (own ? 'You deleted this message' : 'This message was deleted') : `${by} deleted this message`;
  return reason ? `${who}: ${reason}` : who;
}

function more(item, row, wanted, hooks) {
  const there = item.querySelector('.more');
  if (!wanted) there?.remove();
  else if (!there) {
    const label = `What to do with this message of ${row.own ? 'yours' : row.sender}`;
    const made = button('more', label, () => hooks.menu(row, made), icon('more'));
    Object.assign(made, { tabIndex: -1, ariaHasPopup: 'menu', ariaExpanded: 'false' });
    item.querySelector('.line').append(made);
  }
}

function status(place, row, hooks) {
  const failed = row.status === 'failed';
  const actions = failed
    ? [button('link', 'Send again', () => hooks.retry(row.id)), button('link', 'Discard', () => hooks.discard(row.id))]
    : [];
  place.replaceChildren(element('span', { textContent: STATUS[row.status] }), ...actions);
}
