// The panel of a room's members: who they are, who of them is there, and what one may do about them.

import { until } from './countdown.js';
import { Drawer } from './drawer.js';
import { byId, button, element, icon, setChildren, setText } from './element.js';
import { openMenu } from './menu.js';
import { avatar } from './message.js';
import { choices } from './moderation.js';
import { Notice } from './notice.js';
import { isMember, may } from './roles.js';
import { answer } from './words.js';

const RELOAD_MS = 250; // several changes at once are one look at the list
const GROUPS = [
  ['Here now', ({ role, online }) => isMember(role) && online],
  ['Away', ({ role, online }) => isMember(role) && !online],
  ['Invited', ({ role }) => role === 'invited'],
  ['Muted or banned, not members', ({ role }) => !isMember(role) && role !== 'invited'],
];

/** `hooks`: call(type, fields): calls.js; listing(): the room's row of rooms.js; me(): one's own name. */
export class Members {
  #hooks;
  #drawer;
  #notice = new Notice(byId('members-notice'));
  #place = byId('members-list');
  #form = byId('invite');
  #box = byId('invite-name');
  #groups = GROUPS.map(group);
  #items = new Map(); // user → {item, menu}
  #rows = [];
  #due = 0;

  constructor(hooks) {
    this.#hooks = hooks;
    const shown = (yes) => this.#shown(yes);
    this.#drawer = new Drawer(byId('members'), { wide: '(min-width: 70rem)', label: 'Members', open: false, side: 'right', shown });
    this.#place.append(...this.#groups.map(({ section }) => section));
    byId('show-members').addEventListener('click', () => this.toggle());
    byId('close-members').addEventListener('click', () => this.close());
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#invite();
    });
  }

  /** Another room is on the screen. */
  open() {
    this.#rows = [];
    this.#items.clear();
    this.#notice.clear();
    this.#box.value = '';
    this.#draw();
    this.changed();
  }

  toggle() {
    this.#drawer.toggle();
    if (this.#drawer.visible) byId('members-title').focus();
  }

  close() {
    this.#drawer.close();
    byId('show-members').focus();
  }

  /** The list or one's own role may be different now. */
  changed() {
    clearTimeout(this.#due);
    if (this.#drawer?.visible) this.#due = setTimeout(() => this.#load(), this.#rows.length ? RELOAD_MS : 0);
  }

  /** A `presence` frame: the dots change at once. */
  presence({ joined = [], left = [] }) {
    const [came, went] = [new Set(joined), new Set(left)];
    for (const row of this.#rows) row.online = (row.online || came.has(row.user)) && !went.has(row.user);
    if (joined.some((name) => !this.#rows.some(({ user }) => user === name))) this.changed();
    this.#draw();
  }

  #shown(yes) {
    byId('show-members').setAttribute('aria-expanded', String(yes));
    if (yes) this.changed();
  }

  async #load() {
    const room = this.#hooks.listing()?.room;
    if (!room) return;
    try {
      const { members } = await this.#hooks.call('members', { room });
      if (this.#hooks.listing()?.room !== room) return;
      this.#rows = members;
    } catch (problem) {
      if (problem.retryAfter) this.#due = setTimeout(() => this.#load(), problem.retryAfter * 1000 + RELOAD_MS);
      else if (problem.status) this.#notice.show({ text: answer(problem), tone: 'danger' });
    }
    this.#draw();
  }

  #draw() {
    const listing = this.#hooks.listing();
    this.#form.hidden = !listing || !may(listing.role, 'invite', listing.archived) || listing.everyone === true;
    const focused = document.activeElement?.closest('#members-list [data-user]')?.dataset.user;
    for (const { belongs, section, heading, list, title } of this.#groups) {
      const rows = this.#rows.filter(belongs);
      section.hidden = !rows.length;
      setText(heading, `${title} · ${rows.length}`);
      setChildren(
        list,
        rows.map((row) => this.#item(row)),
      );
    }
    setText(byId('members-count'), this.#rows.length ? String(this.#rows.filter(({ role }) => isMember(role)).length) : '');
    if (!focused) return;
    const again = this.#place.querySelector(`[data-user="${CSS.escape(focused)}"] button`);
    (again ?? byId('members-title')).focus();
  }

  /** Somebody's item, for as long as the room is on the screen: a menu that is open at its button stays at it. */
  #item(member) {
    const { user, role, online } = member;
    if (!this.#items.has(user)) this.#items.set(user, { item: element('li', { 'data-user': user }), menu: this.#menu(user) });
    const { item, menu } = this.#items.get(user);
    item.className = `member ${isMember(role) && online ? '' : 'away'}`;
    const face = element('span', { className: online ? 'face online' : 'face' }, avatar({ sender: user }));
    const me = user === this.#hooks.me();
    const name = element('span', { className: 'member-name', textContent: me ? `${user} (you)` : user });
    const words = element('div', { className: 'member-words' }, name, ...marks(member));
    if (online) words.append(element('span', { className: 'visually-hidden', textContent: ', here now' }));
    setChildren(item, [face, words, ...(this.#choices(member).length ? [menu] : [])]);
    return item;
  }

  #menu(user) {
    const label = `What to do about ${user}`;
    const open = () => openMenu(made, this.#choices(this.#rows.find((row) => row.user === user)), label);
    const made = button('button quiet icon-button', label, open, icon('more'));
    Object.assign(made, { ariaHasPopup: 'menu', ariaExpanded: 'false' });
    return made;
  }

  #choices(member) {
    const listing = this.#hooks.listing();
    if (!listing) return [];
    const change = (verb, fields, inDialog = false) => this.#change(verb, fields, inDialog);
    const tell = (text) => this.#notice.show({ text });
    return choices({ member, role: listing.role, me: this.#hooks.me(), archived: listing.archived, change, tell });
  }

  /** Asks the server. A refusal is shown here unless a dialog shows it. */
  async #change(verb, fields, inDialog) {
    this.#notice.clear();
    try {
      await this.#hooks.call(verb, { room: this.#hooks.listing().room, ...fields });
      this.changed();
    } catch (problem) {
      if (!inDialog) this.#notice.show({ text: answer(problem), tone: 'danger' });
      throw problem;
    }
  }

  async #invite() {
    const user = this.#box.value.trim().toLowerCase();
    if (!user) return this.#box.focus();
    try {
      await this.#change('invite', { user }, false);
      this.#box.value = '';
      this.#notice.show({ text: `${user} is invited.` });
    } catch {
      this.#box.select(); // why stands in the notice
    }
    return this.#box.focus();
  }
}

function group([title, belongs]) {
  const [heading, list] = [element('h3'), element('ul')];
  return { title, belongs, heading, list, section: element('section', { hidden: true }, heading, list) };
}

function marks({ role, muted_until: muted, banned_until: banned }) {
  const badge = (text, tone = '') => element('span', { className: `badge ${tone}`, textContent: text });
  const end = (time) => (time > 0 ? ` ${until(time)}` : '');
  return [
    role === 'owner' || role === 'moderator' ? badge(role === 'owner' ? 'Owner' : 'Moderator') : null,
    muted === undefined ? null : badge(`Muted${end(muted)}`, 'warn'),
    role === 'banned' ? badge(`Banned${end(banned ?? -1)}`, 'danger') : null,
  ].filter(Boolean);
}
