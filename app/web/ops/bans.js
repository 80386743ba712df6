// The bans in force: whom, until when, why and by whom; each can be lifted, and another one made.

import { request } from '../api.js';
import { until } from '../countdown.js';
import { ask, frame } from '../dialog.js';
import { button, element } from '../element.js';
import { Notice } from '../notice.js';
import { answer } from '../words.js';

const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
const TIMES = [
  ['3600', '1 hour'],
  ['86400', '1 day'],
  ['604800', '1 week'],
  ['', 'Without an end'],
];

/** Opens the list. */
export async function showBans() {
  const list = element('ul', { className: 'sessions-list' });
  const place = element('div', { className: 'notice', hidden: true });
  const add = button('button small', 'Ban …', () => askBan(load));
  const dialog = frame('bans', 'Bans', element('div', { className: 'dialog-tools' }, add), place, list);
  const notice = new Notice(place, add);

  async function load(text = '') {
    try {
      const { bans } = await request('GET', '/api/bans');
      const none = element('li', { className: 'hint', textContent: 'Nobody is banned.' });
      list.replaceChildren(...(bans.length ? bans.toReversed().map((ban) => entry(ban, lift)) : [none]));
      if (text) notice.show({ text });
    } catch (problem) {
      notice.show({ text: answer(problem), tone: 'danger' });
    }
  }

  async function lift(ban, pressed) {
    pressed.disabled = true;
    try {
      await request('DELETE', `/api/bans/${ban.id}`);
      await load(`The ban of ${ban.value} is lifted.`);
      add.focus();
    } catch (problem) {
      pressed.disabled = false;
      notice.show({ text: answer(problem), tone: 'danger' });
    }
  }

  dialog.querySelector('h2').focus();
  await load();
}

function entry(ban, lift) {
  const end = ban.until === null ? 'without an end' : until(ban.until);
  const lifting = button('button small', 'Lift', (event) => lift(ban, event.currentTarget));
  lifting.setAttribute('aria-label', `Lift the ban of ${ban.value}`);
  return element(
    'li',
    {},
    element(
      'div',
      {},
      element('p', { className: 'agent' }, ban.value, element('span', { className: 'badge', textContent: ban.kind })),
      element('p', { textContent: ban.reason }),
      element('p', { className: 'hint', textContent: `${end} · by ${ban.by}, ${WHEN.format(ban.created_at * 1000)}` }),
    ),
    lifting,
  );
}

function askBan(done) {
  ask({
    title: 'Ban somebody',
    hint: 'Their chats close at once. Addresses are shared: ban a user where you can.',
    fields: [
      { name: 'kind', label: 'What', kind: 'choice', options: [['user', 'A user'], ['address', 'An address']], value: 'user' },
      { name: 'value', label: 'Name or address', kind: 'text', maxLength: 64, hint: 'Of an IPv6 address its whole /64 is banned.' },
      { name: 'seconds', label: 'For', kind: 'choice', options: TIMES, value: '3600' },
      { name: 'reason', label: 'Reason', kind: 'text', maxLength: 200 },
    ],
    submit: 'Ban',
    danger: true,
    run: async ({ kind, value, seconds, reason }) => {
      await request('POST', '/api/bans', { [kind]: value, reason, ...(seconds && { seconds: Number(seconds) }) });
      return () => done(`${value} is banned.`);
    },
  });
}
