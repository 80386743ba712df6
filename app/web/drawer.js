// A panel that stands beside the room where there is space, and lies over it where there is not.

import { element } from './element.js';

/**
 * `panel` is a place in the page whose content is lent to a modal dialog on narrow windows. `wide` is the media query for
 * enough space; `shown(yes)` is told when somebody can see the panel or no longer can; `open` says whether a wide window
 * shows it.
 */
export class Drawer {
  #panel;
  #home;
  #dialog;
  #media;
  #open;
  #hooks;

  constructor(panel, { wide, label, open = true, side = 'left', shown = () => {} }) {
    this.#panel = panel;
    this.#home = element('div', { className: 'home' });
    panel.replaceWith(this.#home);
    this.#dialog = element('dialog', { className: `drawer ${side}`, 'aria-label': label });
    this.#home.after(this.#dialog);
    this.#open = open;
    this.#hooks = { shown };
    this.#media = matchMedia(wide);
    this.#media.addEventListener('change', () => this.#settle());
    this.#dialog.addEventListener('close', () => this.#hooks.shown(this.visible));
    this.#dialog.addEventListener('click', ({ target }) => target === this.#dialog && this.close());
    this.#settle();
  }

  get visible() {
    return this.#media.matches ? this.#open : this.#dialog.open;
  }

  toggle() {
    if (this.visible) this.close();
    else this.open();
  }

  open() {
    if (this.#media.matches) this.#open = true;
    else if (!this.#dialog.open) this.#dialog.showModal();
    this.#show();
  }

  close() {
    if (this.#media.matches) this.#open = false;
    this.#dialog.close();
    this.#show();
  }

  /** Out of the way when it lies over the room; where it stands beside it, it stays. */
  aside() {
    this.#dialog.close();
  }

  #settle() {
    this.#dialog.close();
    (this.#media.matches ? this.#home : this.#dialog).append(this.#panel);
    this.#show();
  }

  #show() {
    this.#home.hidden = !(this.#media.matches && this.#open);
    this.#hooks.shown(this.visible);
  }
}
