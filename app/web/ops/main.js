// The page of the administrators: what it shows to whom, and what it asks the server for.

import { request } from '../api.js';
import { button, byId, element } from '../element.js';
import { refusal } from '../words.js';
import { askAccount } from './account.js';
import { showBans } from './bans.js';
import { Board } from './board.js';
import { Now } from './now.js';
import { Queue } from './pace.js';
import { showRecords } from './records.js';
import { Windows } from './windows.js';

const queue = new Queue();
const hooks = {
  ask: (panel, window) => ask(`/api/ops/panels/${encodeURIComponent(panel.name)}?window=${encodeURIComponent(window)}`),
  alerts: () => ask('/api/ops/alerts'),
  refused,
};
let parts = null;

function ask(path) {
  return queue.add(() => request('GET', path));
}

/** Whether a refusal is about everything: then the page says so once, and asks for nothing more. */
function refused(problem) {
  const closing = { credential_missing: signedOut, admin_required: notAllowed, unwatched }[problem.reason];
  if (!closing && problem.status !== 401) return false;
  (closing ?? signedOut)();
  return true;
}

function signedOut() {
  const link = element('a', { className: 'button primary', href: '/', textContent: 'Sign in' });
  close('You are not signed in', 'Sign in as an administrator, then come back to this page.', link);
  byId('tools').hidden = true;
}

function notAllowed() {
  const link = element('a', { className: 'button', href: '/', textContent: 'Back to the chat' });
  close('This page is for administrators', 'Your account is not one. Ask whoever runs this server.', link);
  byId('tools').hidden = true;
}

function unwatched() {
  const setting = element('code', { textContent: 'PORTCULLIS_PROMETHEUS_URL' });
  const file = element('code', { textContent: 'monitoring/prometheus.yml' });
  const how = element('p', {}, 'Start a Prometheus with ', file, ', give its address in ', setting, ', and restart the server.');
  const also = element('p', { className: 'hint', textContent: 'Bans, accounts and room records work without it.' });
  close('Nothing is watched yet', 'This server knows of no Prometheus, so there is nothing to draw.', how, also, again());
}

function broken(problem) {
  close('This page could not be opened', refusal(problem), again());
}

function again() {
  return button('button', 'Try again', begin);
}

/** Shows one sentence in the place of everything. */
function close(title, text, ...more) {
  parts?.now.stop();
  parts?.board.stop();
  byId('watch').hidden = true;
  byId('windows').hidden = true;
  byId('closed-title').textContent = title;
  byId('closed-text').replaceChildren(element('p', { textContent: text }), ...more);
  byId('closed').hidden = false;
}

function open({ groups, windows }) {
  byId('closed').hidden = true;
  byId('watch').hidden = false;
  byId('windows').hidden = false;
  parts ??= build(groups, windows);
  parts.now.start();
  parts.board.start(parts.windows.chosen);
}

function build(groups, windows) {
  const only = (wanted) => groups.map(({ title, panels }) => ({ title, panels: panels.filter(wanted) }));
  const charts = only(({ kind }) => kind !== 'stat').filter(({ panels }) => panels.length);
  const board = new Board(byId('groups'), charts, hooks);
  const now = new Now(only(({ kind }) => kind === 'stat').flatMap(({ panels }) => panels), hooks);
  return { board, now, windows: new Windows(byId('windows'), windows, (chosen) => board.start(chosen)) };
}

async function begin() {
  try {
    const { admin } = await request('GET', '/api/session');
    if (!admin) return notAllowed();
    byId('tools').hidden = false;
    return open(await request('GET', '/api/ops/catalogue'));
  } catch (problem) {
    return refused(problem) || broken(problem);
  }
}

byId('show-bans').addEventListener('click', showBans);
byId('show-account').addEventListener('click', askAccount);
byId('show-records').addEventListener('click', showRecords);
begin();
