// A room's audit log: who changed what about it, newest first.

import { request } from '../api.js';
import { frame } from '../dialog.js';
import { button, element } from '../element.js';
import { Notice } from '../notice.js';
import { answer } from '../words.js';

const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** Asks for the room and shows its records below. */
export function showRecords() {
  const box = element('input', { id: 'records-room', value: 'lobby', maxLength: 64, autocomplete: 'off', autocapitalize: 'none', spellcheck: false });
  const hint = element('p', { className: 'hint', id: 'records-hint', textContent: 'Its id. Of a private room only its owners and moderators may read them.' });
  const place = element('div', { className: 'notice', hidden: true });
  const list = element('ol', { className: 'records' });
  const show = element('button', { className: 'button', type: 'submit', textContent: 'Show' });
  const more = button('button small', 'Older', () => load(more.dataset.before));
  const field = element('div', { className: 'field' }, element('label', { htmlFor: box.id, textContent: 'Room' }), box, hint);
  const form = element('form', { className: 'records-form', method: 'dialog' }, field, show);
  const notice = new Notice(place, box);
  let room = '';

  async function load(before = '') {
    notice.clear();
    try {
      const page = await request('GET', `/api/rooms/${encodeURIComponent(room)}/audit${before && `?before=${before}`}`);
      if (!before) list.replaceChildren();
      list.append(...page.entries.map(entry));
      if (!list.children.length) notice.show({ text: 'Nothing was changed about this room.' });
      more.hidden = !page.more;
      more.dataset.before = page.entries.at(-1)?.id ?? '';
    } catch (problem) {
      notice.show({ text: answer(problem), tone: 'danger' });
    }
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    room = box.value.trim();
    list.replaceChildren();
    more.hidden = true;
    if (room) load();
  });
  box.setAttribute('aria-describedby', hint.id);
  more.hidden = true;
  frame('records', 'Room records', form, place, list, more).classList.add('wide');
  box.select();
}

function entry({ timestamp, by, action, user, reason, facts }) {
  const what = [action.replaceAll('_', ' '), user ?? ''].filter(Boolean).join(' ');
  const details = Object.entries(facts ?? {}).map(([name, value]) => `${name.replaceAll('_', ' ')}: ${value}`);
  const words = [...details, reason ?? ''].filter(Boolean).join(' · ');
  return element(
    'li',
    {},
    element('p', {}, element('strong', { textContent: by }), ` ${what}`),
    words ? element('p', { className: 'hint', textContent: words }) : null,
    element('p', { className: 'hint', textContent: WHEN.format(timestamp * 1000) }),
  );
}
