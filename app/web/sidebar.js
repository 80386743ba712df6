// The list of rooms beside the room: what is unread where, and who invites.

import { byId, button, element, icon, setChildren, setText } from './element.js';

/** `hooks`: open(id), accept(row), decline(row). */
export class Sidebar {
  #list = byId('rooms-list');
  #invitations = byId('invitations');
  #counts = [byId('unread-elsewhere')];
  #items = new Map(); // id → {item, look}
  #hooks;

  constructor(hooks) {
    this.#hooks = hooks;
    this.#list.addEventListener('keydown', (event) => this.#pressed(event));
  }

  /** Draws the list; `current` is the room on the screen. */
  draw({ joined, invitations }, current) {
    this.#draw(this.#list, joined, (row) => room(row, row.room === current, this.#hooks));
    this.#draw(this.#invitations, invitations, (row) => invitation(row, this.#hooks));
    byId('invitations-part').hidden = invitations.length === 0;
    const elsewhere = joined.reduce((sum, row) => sum + (row.room === current ? 0 : row.unread), invitations.length);
    for (const count of this.#counts) {
      count.hidden = elsewhere === 0;
      setText(count, shown(elsewhere));
    }
    byId('show-rooms').setAttribute('aria-label', elsewhere ? `Rooms, ${elsewhere} unread` : 'Rooms');
    this.#rove(current);
  }

  /** The focus goes to the first invitation. */
  showInvitation() {
    this.#invitations.querySelector('button')?.focus();
  }

  clear() {
    this.#items.clear();
    this.#list.replaceChildren();
    this.#invitations.replaceChildren();
  }

  /** Items that did not change stay the same elements, so that none loses the focus. */
  #draw(list, rows, make) {
    const items = rows.map((row) => {
      const made = make(row);
      const known = this.#items.get(row.room);
      if (known?.isEqualNode(made) && known.parentNode === list) return known;
      if (known?.contains(document.activeElement)) queueMicrotask(() => made.querySelector('button').focus());
      this.#items.set(row.room, made);
      return made;
    });
    setChildren(list, items);
  }

  /** One stop for the Tab key: from there the arrows go through the list. */
  #rove(current) {
    const links = [...this.#list.querySelectorAll('.room-link')];
    const stop = links.find((link) => link.dataset.room === current) ?? links[0];
    for (const link of links) link.tabIndex = link === stop ? 0 : -1;
  }

  #pressed(event) {
    const links = [...this.#list.querySelectorAll('.room-link')];
    const at = links.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    links[Math.max(0, Math.min(to, links.length - 1))]?.focus();
  }
}

/** A number as a badge shows it. */
function shown(count) {
  return count > 99 ? '99+' : String(count);
}

function room(row, isCurrent, hooks) {
  const link = button('room-link', '', () => hooks.open(row.room));
  const title = element('span', { className: 'room-link-title', textContent: row.title });
  link.append(icon(row.public ? 'public' : 'private'), title);
  link.dataset.room = row.room;
  if (!row.public) link.append(element('span', { className: 'visually-hidden', textContent: ', private' }));
  if (row.archived) link.append(element('span', { className: 'badge', textContent: 'Archived' }));
  if (row.unread && !isCurrent) {
    link.append(
      element('span', { className: 'count', 'aria-hidden': 'true', textContent: shown(row.unread) }),
      element('span', { className: 'visually-hidden', textContent: `, ${shown(row.unread)} unread` }),
    );
  }
  link.tabIndex = -1;
  if (isCurrent) link.setAttribute('aria-current', 'page');
  return element('li', {}, link);
}

function invitation(row, hooks) {
  const of = (label) => `${label} the invitation to ${row.title}`;
  const accept = button('button small primary', 'Accept', () => hooks.accept(row));
  const decline = button('button small', 'Decline', () => hooks.decline(row));
  accept.setAttribute('aria-label', of('Accept'));
  decline.setAttribute('aria-label', of('Decline'));
  const title = element('span', { className: 'room-link-title', textContent: row.title });
  const people = row.members === 1 ? '1 person is in it' : `${row.members} people are in it`;
  return element(
    'li',
    { className: 'invitation' },
    element('p', { className: 'invitation-title' }, icon(row.public ? 'public' : 'private'), title),
    element('p', { className: 'hint', textContent: people }),
    element('div', { className: 'buttons' }, accept, decline),
  );
}
