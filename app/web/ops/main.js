// The page of the administrators: what it shows to whom, and what it asks the server for.

import { request } from '../api.js';
import { button, byId, element } from '../element.js';
import { refusal } from '../words.js';
import { askAccount } from './account.js';
import { showBans } from './bans.js';
import { Board } from './board.js';
import { showCooldowns } from './cooldowns.js';
import { showNodes } from './nodes.js';
import { Now } from './now.js';
import { patiently, Queue } from './pace.js';
import { showRecords } from './records.js';
import { Windows } from './windows.js';

const RETRY_SECONDS = 30;
const queue = new Queue();
const hooks = {
  ask: (panel, window, wanted) => ask(`/api/ops/panels/${encodeURIComponent(panel.name)}?window=${encodeURIComponent(window)}`, wanted),
  alerts: () => ask('/api/ops/alerts'),
  refused,
  passed: () => parts?.board.passed ?? [],
};
let parts = null;
let retry = 0;

function ask(path, wanted) {
  return queue.add(() => patiently(() => request('GET', path)), wanted);
}

/** Whether a refusal is about everything: then the page says so once, and asks for nothing more. */
function refused(problem) {
  if (problem.status === 401) signedOut();
  else if (problem.reason === 'admin_required') notAllowed();
  else return false;
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

function unwatched(named) {
  const code = (text) => element('code', { textContent: text });
  const items = named
    ? [['See whether it runs and whether the server can reach it: ', code('make status'), ' and ', code('make logs'), '.']]
    : [
        ['Why it has none: ', code('make status'), ' says it.'],
        ['Not installed? Install the distribution’s, then ', code('make up'), '.'],
        ['Its port is taken? Free it, or name another in ', code('PORTCULLIS_PROMETHEUS_PORT'), ', then ', code('make up'), '.'],
        ['There is one elsewhere? Name it in ', code('PORTCULLIS_PROMETHEUS_URL'), '.'],
      ];
  const how = element('ul', { className: 'how' }, ...items.map((words) => element('li', {}, ...words)));
  const also = element('p', { className: 'hint', textContent: 'Bans, cool-downs, nodes, accounts and room records work without it.' });
  const title = named ? 'Prometheus does not answer' : 'This server has no Prometheus';
  close(title, 'The figures and charts come from Prometheus, so there is nothing to show.', how, also, again());
  retry = setTimeout(begin, RETRY_SECONDS * 1000);
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
  // said already: whoever is at its button stays there
  if (!byId('closed').hidden && byId('closed-title').textContent === title) return;
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
  clearTimeout(retry);
  try {
    const { admin } = await request('GET', '/api/session');
    if (!admin) return notAllowed();
    byId('tools').hidden = false;
    const catalogue = await request('GET', '/api/ops/catalogue');
    if (!catalogue.watched) return unwatched(false);
    await hooks.alerts(); // nothing else tells whether it answers
    return open(catalogue);
  } catch (problem) {
    if (problem.reason === 'unwatched') return unwatched(true);
    return refused(problem) || broken(problem);
  }
}

byId('show-bans').addEventListener('click', showBans);
byId('show-cooldowns').addEventListener('click', showCooldowns);
byId('show-nodes').addEventListener('click', showNodes);
byId('show-account').addEventListener('click', askAccount);
byId('show-records').addEventListener('click', showRecords);
begin();
