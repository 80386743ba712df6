// The panel beside the room: the rooms one is in, the invitations, and the ways into another room.

import { browseRooms, createRoom } from './browse.js';
import { Drawer } from './drawer.js';
import { byId } from './element.js';
import { Sidebar } from './sidebar.js';
import { answer } from './words.js';

/** `hooks`: call(type, fields): calls.js; list(): asks for the list of rooms; show(room); warn(text, more): tells of a room. */
export class Side {
  #hooks;
  #drawer = new Drawer(byId('side'), { wide: '(min-width: 52rem)', label: 'Rooms' });
  #sidebar;

  constructor(hooks) {
    this.#hooks = hooks;
    this.#sidebar = new Sidebar({
      open: hooks.show,
      accept: ({ room }) => this.#entered(room, 'join'),
      decline: ({ room }) => this.#tried(() => this.#hooks.call('leave', { room })),
    });
    const ways = { call: hooks.call, show: (room) => this.#entered(room) };
    byId('show-rooms').addEventListener('click', () => this.#drawer.open());
    byId('close-rooms').addEventListener('click', () => this.aside());
    byId('create').addEventListener('click', () => createRoom(ways));
    byId('browse').addEventListener('click', () => browseRooms(ways));
  }

  /** Draws the list, and the number of what is unread into the page's title; `current` is the room on the screen. */
  draw(rooms, current) {
    this.#sidebar.draw(rooms, current);
    const title = rooms.get(current)?.title;
    const name = title ? `${title} · Portcullis` : 'Portcullis';
    document.title = rooms.unread ? `(${rooms.unread}) ${name}` : name;
  }

  /** Out of the way when it lies over the room. */
  aside() {
    this.#drawer.aside();
  }

  /** Tells of an invitation that has just come. */
  invited({ title }, sender) {
    const run = () => {
      this.#drawer.open();
      this.#sidebar.showInvitation();
    };
    this.#hooks.warn(`${sender} invites you to ${title}.`, { tone: 'info', action: { label: 'Show', run } });
  }

  clear() {
    this.#sidebar.clear();
    document.title = 'Portcullis';
  }

  /** Goes to a room that is new on the list, after `verb` where one has to be let in first. */
  async #entered(room, verb = null) {
    const done = await this.#tried(() => verb && this.#hooks.call(verb, { room }));
    if (done) this.#hooks.show(room);
  }

  /** Whether it was done, and the list asked for anew; a refusal is told. */
  async #tried(doing) {
    try {
      await doing();
      await this.#hooks.list();
    } catch (problem) {
      this.#hooks.warn(answer(problem));
      return false;
    }
    return true;
  }
}
