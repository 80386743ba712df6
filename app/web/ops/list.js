// A dialog with a list, and for each entry one thing that can be done about it.

import { request } from '../api.js';
import { ask, frame } from '../dialog.js';
import { button, element } from '../element.js';
import { Notice } from '../notice.js';
import { answer } from '../words.js';
import { patiently } from './pace.js';

/**
 * Opens the list at `path`. `named`: name, title, none (what an empty list says), hint if any; `items(body)`: an array of
 * `{words, act}`, `words` being elements; `tool(load)`: a button above, if any.
 *
 * `act`: label and title (of its button), method and path, done (what is said afterwards), gone (what is said where it was
 * done already), sure (`{title, hint}` to be asked first), if it needs to be.
 */
export async function showList(path, named, items, tool = null) {
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
      const found = items(await patiently(() => request('GET', path)));
      const none = element('li', { className: 'hint', textContent: named.none });
      list.replaceChildren(...(found.length ? found.map((one) => entry(one, press)) : [none]));
      if (text) notice.show({ text });
    } catch (problem) {
      notice.show({ text: answer(problem), tone: 'danger' });
    }
  }

  function press(act, pressed) {
    if (!act.sure) return carryOut(act, pressed);
    const run = () => perform(act).then((text) => () => over(text));
    return ask({ ...act.sure, fields: [], submit: act.label, danger: true, run });
  }

  async function carryOut(act, pressed) {
    pressed.disabled = true;
    try {
      await over(await perform(act));
    } catch (problem) {
      pressed.disabled = false;
      notice.show({ text: answer(problem), tone: 'danger' });
    }
  }

  async function over(text) {
    await load(text);
    (above ?? heading).focus();
  }

  heading.focus();
  await load();
}

/** What is to be said of it. */
async function perform({ method, path, done, gone }) {
  try {
    await request(method, path);
    return done;
  } catch (problem) {
    if (problem.status === 404) return gone;
    throw problem;
  }
}

function entry({ words, act }, press) {
  const pressed = button('button small', act.label, () => press(act, pressed));
  pressed.setAttribute('aria-label', act.title);
  return element('li', {}, element('div', {}, ...words), pressed);
}
