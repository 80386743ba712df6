// What an administrator may do about an account: close it, open it again, end its sessions.

import { request } from '../api.js';
import { momentIn } from '../countdown.js';
import { ask } from '../dialog.js';
import { byId } from '../element.js';
import { Notice } from '../notice.js';

const SECONDS = 20; // long enough to be read, short enough not to look like news later
const DONE = {
  end: (name) => `All sessions of ${name} are ended.`,
  disable: (name) => `The account ${name} is disabled.`,
  enable: (name) => `The account ${name} is enabled.`,
};
const CHOICES = [
  ['end', 'End all its sessions'],
  ['disable', 'Disable it, which ends its sessions too'],
  ['enable', 'Enable it again'],
];

/** Asks whose account it is about and what to do; says what came of it. */
export function askAccount() {
  const notice = new Notice(byId('told'));
  ask({
    title: 'Account',
    hint: 'Open chats close within a second.',
    fields: [
      { name: 'name', label: 'Name', kind: 'text', maxLength: 64 },
      { name: 'what', label: 'What to do', kind: 'choice', options: CHOICES, value: 'end' },
    ],
    submit: 'Do it',
    danger: true,
    run: async ({ name, what }) => {
      await carryOut(name, what);
      return () => notice.show({ text: DONE[what](name), until: momentIn(SECONDS) });
    },
  });
}

function carryOut(name, what) {
  const path = `/api/accounts/${encodeURIComponent(name)}`;
  if (what === 'end') return request('DELETE', `${path}/sessions`);
  return request('PATCH', path, { disabled: what === 'disable' });
}
