// The head of the room on the screen: what it is, and what one may do about it.

import { byId, setText } from './element.js';
import { openMenu } from './menu.js';
import { may } from './roles.js';
import { steps } from './stewardship.js';

/** `hooks`: listing(): the room's row of rooms.js; isFirst(room); change(verb, fields, inDialog): asks the server. */
export class Head {
  #menu = byId('room-menu');
  #hooks;

  constructor(hooks) {
    this.#hooks = hooks;
    this.#menu.addEventListener('click', () => openMenu(this.#menu, this.#steps(), 'This room'));
  }

  /** Shows the room as the list has it. */
  draw() {
    const listing = this.#hooks.listing();
    setText(byId('room-name'), listing.title);
    setText(byId('room-hint'), hint(listing, this.#hooks.isFirst(listing.room)));
    byId('room-kind').setAttribute('href', listing.public ? '#icon-public' : '#icon-private');
    byId('log').setAttribute('aria-label', `Messages in ${listing.title}`);
    this.#menu.hidden = this.#steps().length === 0;
    byId('show-members').hidden = !may(listing.role, 'members');
  }

  /** One is out of the room: nothing can be done about it. */
  removed() {
    this.#menu.hidden = true;
    byId('show-members').hidden = true;
  }

  #steps() {
    const listing = this.#hooks.listing();
    return listing ? steps({ listing, isLobby: this.#hooks.isFirst(listing.room), change: this.#hooks.change }) : [];
  }
}

function hint({ public: open, slow_seconds: slow }, isFirst) {
  const slowly = slow ? ` One message in ${slow} s.` : '';
  if (isFirst) return `Everybody on this server can read along.${slowly}`;
  return (open ? 'Everybody on this server can join.' : 'Only who was invited can read along.') + slowly;
}
