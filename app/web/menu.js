// A menu at a button: arrows move, Enter does, Escape closes and gives the focus back.

import { element } from './element.js';

const MARGIN = 8;

/** Opens a menu of `items`, each {label, run, danger}, at this button. A menu without items does not open. */
export function openMenu(button, items, label) {
  if (!items.length) return null;
  const menu = element('div', { className: 'menu', role: 'menu', 'aria-label': label, popover: 'auto' });
  menu.append(...items.map((item) => entry(menu, item)));
  // inside an open dialog everything outside of it is inert
  (button.closest('dialog[open]') ?? document.body).append(menu);
  menu.addEventListener('keydown', (event) => pressed(menu, event));
  menu.addEventListener('toggle', ({ newState }) => newState === 'closed' && closed(menu, button));
  button.setAttribute('aria-expanded', 'true');
  menu.showPopover();
  place(menu, button.getBoundingClientRect());
  menu.firstElementChild.focus();
  return menu;
}

function entry(menu, { label, run, danger = false }) {
  const item = element('button', {
    type: 'button',
    role: 'menuitem',
    tabIndex: -1,
    className: danger ? 'menu-item danger' : 'menu-item',
    textContent: label,
  });
  item.addEventListener('click', () => {
    menu.hidePopover();
    run();
  });
  return item;
}

function pressed(menu, event) {
  const items = [...menu.children];
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
  if (event.key === 'Tab') menu.hidePopover();
  else if (to !== undefined) items.at(to % items.length).focus();
  else return;
  event.preventDefault();
}

function closed(menu, button) {
  button.setAttribute('aria-expanded', 'false');
  if (menu.contains(document.activeElement) || document.activeElement === document.body) button.focus();
  menu.remove();
}

/** Below the button where there is space, else above it; never outside the window. */
function place(menu, at) {
  const { width, height } = menu.getBoundingClientRect();
  const below = at.bottom + 4;
  const top = below + height + MARGIN > innerHeight ? at.top - height - 4 : below;
  menu.style.left = `${Math.max(MARGIN, Math.min(at.right - width, innerWidth - width - MARGIN))}px`;
  menu.style.top = `${Math.max(MARGIN, top)}px`;
}
