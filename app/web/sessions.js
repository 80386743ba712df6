// The list of one's own sessions, each of which can be ended.

import { byId, element } from './element.js';
import { Notice } from './notice.js';
import { refusal } from './words.js';

const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
const BROWSERS = [
  ['Edg/', 'Edge'],
  ['OPR/', 'Opera'],
  ['Firefox/', 'Firefox'],
  ['Chrome/', 'Chrome'],
  ['Safari/', 'Safari'],
];
const SYSTEMS = ['Android', 'iPhone', 'iPad', 'Windows', 'Mac OS', 'CrOS', 'Linux'];

/** The sessions dialog. `hooks`: request (api.js), unauthorised(problem), endedOwn(). */
export class Sessions {
  #dialog = byId('sessions');
  #list = byId('sessions-list');
  #notice = new Notice(byId('sessions-notice'));
  #hooks;

  constructor(hooks) {
    this.#hooks = hooks;
    byId('close-sessions').addEventListener('click', () => this.close());
  }

  /** Opens the dialog with this person's current list. */
  async open(name) {
    byId('sessions-name').textContent = name;
    this.#notice.clear();
    this.#list.replaceChildren();
    this.#dialog.showModal();
    byId('sessions-title').focus();
    await this.#load();
  }

  close() {
    if (this.#dialog.open) this.#dialog.close();
  }

  async #load() {
    try {
      const { sessions } = await this.#hooks.request('GET', '/api/sessions');
      const newestFirst = [...sessions].sort((a, b) => b.current - a.current || b.seen_at - a.seen_at);
      this.#list.replaceChildren(...newestFirst.map((session) => this.#entry(session)));
    } catch (problem) {
      this.#refused(problem);
    }
  }

  #entry(session) {
    const what = describe(session.agent);
    const facts = `${session.address} · signed in ${WHEN.format(session.created_at * 1000)}`;
    const button = element('button', {
      type: 'button',
      className: 'button small',
      textContent: session.current ? 'Sign out here' : 'End',
      'aria-label': session.current ? 'Sign out here' : `End ${what}, ${facts}`,
    });
    button.addEventListener('click', () => this.#end(session, button, what));
    return element(
      'li',
      {},
      element(
        'div',
        {},
        element('p', { className: 'agent' }, what, session.current ? badge() : null),
        element('p', { className: 'hint', textContent: facts }),
        element('p', { className: 'hint', textContent: `Last seen ${WHEN.format(session.seen_at * 1000)}` }),
      ),
      button,
    );
  }

  async #end(session, button, what) {
    if (session.current) return this.#hooks.endedOwn();
    button.disabled = true;
    try {
      await this.#hooks.request('DELETE', `/api/sessions/${encodeURIComponent(session.id)}`);
      await this.#load();
      this.#notice.show({ text: `${what} was signed out.` });
      byId('sessions-title').focus();
    } catch (problem) {
      button.disabled = false;
      this.#refused(problem);
    }
    return undefined;
  }

  #refused(problem) {
    if (problem.status === 401) this.#hooks.unauthorised(problem);
    else this.#notice.show({ text: refusal(problem), tone: 'danger' });
  }
}

function badge() {
  return element('span', { className: 'badge', textContent: 'This one' });
}

/** `Firefox on Linux` out of a User-Agent, or its beginning where it is not a browser's. */
function describe(agent) {
  const browser = BROWSERS.find(([mark]) => agent.includes(mark))?.[1];
  const system = SYSTEMS.find((name) => agent.includes(name));
  if (browser && system) return `${browser} on ${system}`;
  return agent.slice(0, 40) || 'Unknown program';
}
