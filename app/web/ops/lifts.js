// A dialog with what keeps people out, each with a button that lifts it.

import { request } from '../api.js';
import { frame } from '../dialog.js';
import { button, element } from '../element.js';
import { Notice } from '../notice.js';
import { answer } from '../words.js';

/**
 * Opens the list at `path`. `named`: name, title, none (what an empty list says), hint if any; `items(body)`: an array of
 * `{id, value, what, words}`, `what` being what is lifted and `words` what is known of it; `tool(load)`: a button above.
 */
export async function showLifts(path, named, items, tool = null) {
  const list = element('ul', { className: 'sessions-list' });
  const place = element('div', { className: 'notice', hidden: true });
  const above = tool?.((text) => load(text));
  const hint = named.hint ? element('p', { className: 'hint', textContent: named.hint }) : null;
  const tools = above ? element('div', { className: 'dialog-tools' }, above) : null;
  const dialog = frame(named.name, named.title, hint, tools, place, list);
  const heading = dialog.querySelector('h2');
  const notice = new Notice(place, above ?? heading);

  async function load(text = '') {
    try {
      const found = items(await request('GET', path));
      const none = element('li', { className: 'hint', textContent: named.none });
      list.replaceChildren(...(found.length ? found.map((one) => entry(one, lift)) : [none]));
      if (text) notice.show({ text });
    } catch (problem) {
      notice.show({ text: answer(problem), tone: 'danger' });
    }
  }

  async function lift({ id, value, what }, pressed) {
    pressed.disabled = true;
    try {
      await request('DELETE', `${path}/${encodeURIComponent(id)}`);
      return await over(`The ${what} of ${value} is lifted.`);
    } catch (problem) {
      if (problem.status === 404) return over(`The ${what} of ${value} was over already.`);
      pressed.disabled = false;
      return notice.show({ text: answer(problem), tone: 'danger' });
    }
  }

  async function over(text) {
    await load(text);
    (above ?? heading).focus();
  }

  heading.focus();
  await load();
}

function entry(one, lift) {
  const lifting = button('button small', 'Lift', (event) => lift(one, event.currentTarget));
  lifting.setAttribute('aria-label', `Lift the ${one.what} of ${one.value}`);
  return element('li', {}, element('div', {}, ...one.words), lifting);
}
