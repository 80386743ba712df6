// Finding a room to be in: a new one, or one of the public ones.

import { ask, frame } from './dialog.js';
import { button, element } from './element.js';
import { Notice } from './notice.js';
import { answer } from './words.js';

const VISIBLE = {
  name: 'public',
  label: 'Public',
  kind: 'tick',
  hint: 'Everybody on this server can find and join it. Otherwise people need an invitation.',
};

/** Asks for a new room; `show(room)` gets its id. */
export function createRoom({ call, show }) {
  ask({
    title: 'Create a room',
    fields: [{ name: 'title', label: 'Title', kind: 'text', maxLength: 80, autocapitalize: 'sentences' }, VISIBLE],
    submit: 'Create',
    run: async ({ title, public: open }) => {
      const { room } = await call('create', { title, public: open });
      return () => show(room);
    },
  });
}

/** Lists the public rooms that one is not in; `show(room)` gets the one that was joined. */
export async function browseRooms({ call, show }) {
  const place = element('div', { className: 'notice', hidden: true });
  const list = element('ul', { className: 'found' });
  const none = element('p', { className: 'hint', textContent: 'Looking …', role: 'status' });
  const dialog = frame('browse', 'Public rooms', none, place, list);
  const told = new Notice(place);
  const enter = async ({ room }) => {
    try {
      await call('join', { room });
      dialog.close();
      show(room);
    } catch (problem) {
      told.show({ text: answer(problem), tone: 'danger' });
    }
  };
  try {
    const { rooms } = await call('rooms', { public: true });
    none.textContent = rooms.length ? 'Everybody may join these.' : 'There is no public room that you are not in.';
    list.append(...rooms.map((row) => found(row, () => enter(row))));
    (list.querySelector('button') ?? dialog.querySelector('h2')).focus();
  } catch (problem) {
    none.hidden = true;
    told.show({ text: answer(problem), tone: 'danger' });
  }
}

function found(row, run) {
  const people = row.members === 1 ? '1 person' : `${row.members} people`;
  const join = button('button small', 'Join', run);
  join.setAttribute('aria-label', `Join ${row.title}`);
  const words = element('p', {}, element('strong', { textContent: row.title }), element('span', { className: 'hint', textContent: people }));
  return element('li', {}, words, join);
}
