// Whether one may write in the room on the screen, and what one is told when not.

import { momentIn, until } from './countdown.js';
import { byId } from './element.js';
import { Notice } from './notice.js';
import { told } from './story.js';

const REMOVED = 'removed';

/** `hooks`: live(yes): whether there is anything to write to; me(): one's own name; home(): goes to the first room. */
export class Standing {
  #notice = new Notice(byId('standing'), byId('message'));
  #hooks;
  #shown = '';
  #why = ''; // the reason of the last mute, which the list does not know

  constructor(hooks) {
    this.#hooks = hooks;
  }

  /** Says what the room's row in the list allows. */
  settle(listing) {
    const look = `${listing.room} ${listing.archived} ${listing.muted_until} ${this.#why}`;
    if (look === this.#shown) return;
    this.#shown = look;
    this.#notice.clear();
    this.#hooks.live(!listing.archived && listing.muted_until === undefined);
    if (listing.archived) this.#notice.show({ text: 'This room is archived: it can be read, not written to.' });
    else if (listing.muted_until !== undefined) this.#muted(listing);
  }

  /** A member event that concerns oneself. */
  heard(event) {
    if (event.change === 'muted') this.#why = event.reason ?? '';
    if (event.change === 'unmuted') this.#why = '';
  }

  /** One is out of the room: by this event, or nobody knows why. */
  removed(event, title) {
    if (this.#shown === REMOVED) return; // what was said first says more
    this.#shown = REMOVED;
    this.#hooks.live(false);
    const text = event ? `${told(event, this.#hooks.me())}.` : `You are not in ${title} any more.`;
    const action = { label: 'Go to the lobby', run: () => this.#hooks.home() };
    this.#notice.show({ text, tone: 'danger', action });
  }

  /** Says it once more: something else had a say meanwhile. */
  resettle(listing) {
    this.#shown = '';
    this.settle(listing);
  }

  clear() {
    this.#shown = '';
    this.#why = '';
    this.#notice.clear();
  }

  #muted(listing) {
    const why = this.#why ? ` Reason: ${this.#why}.` : '';
    const end = listing.muted_until;
    if (end < 0) return this.#notice.show({ text: `You are muted here: you can read, not write.${why}`, tone: 'warn' });
    const over = () => {
      listing.muted_until = undefined;
      this.settle(listing);
    };
    const text = `You are muted here ${until(end)}.${why} You can write again in {time}.`;
    return this.#notice.show({ text, tone: 'warn', until: momentIn(end - Date.now() / 1000), over });
  }
}
