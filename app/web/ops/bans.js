// The bans in force: whom, until when, why and by whom; each can be lifted, and another one made.

import { request } from '../api.js';
import { until } from '../countdown.js';
import { ask } from '../dialog.js';
import { button, element } from '../element.js';
import { showList } from './list.js';

const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
const TIMES = [
  ['3600', '1 hour'],
  ['86400', '1 day'],
  ['604800', '1 week'],
  ['', 'Without an end'],
];
const NAMED = { name: 'bans', title: 'Bans', none: 'Nobody is banned.' };

/** Opens the list, the newest first. */
export function showBans() {
  const tool = (load) => button('button small', 'Ban …', () => askBan(load));
  return showList('/api/bans', NAMED, ({ bans }) => bans.toReversed().map(item), tool);
}

function item(ban) {
  const end = ban.until === null ? 'without an end' : until(ban.until);
  const words = [
    element('p', { className: 'agent' }, ban.value, element('span', { className: 'badge', textContent: ban.kind })),
    element('p', { textContent: ban.reason }),
    element('p', { className: 'hint', textContent: `${end} · by ${ban.by}, ${WHEN.format(ban.created_at * 1000)}` }),
  ];
  const act = {
    label: 'Lift',
    title: `Lift the ban of ${ban.value}`,
    method: 'DELETE',
    path: `/api/bans/${ban.id}`,
    done: `The ban of ${ban.value} is lifted.`,
    gone: `The ban of ${ban.value} was over already.`,
  };
  return { words, act };
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
