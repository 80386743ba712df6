// What one may do about a room itself: its menu and the questions behind it.

import { ask } from './dialog.js';
import { may } from './roles.js';

/** The menu of a room: a list for menu.js. `change(verb, fields)` asks the server and throws a Problem. */
export function steps({ listing, isLobby, change }) {
  const allows = (action) => may(listing.role, action, listing.archived);
  const item = (wanted, label, run, danger = false) => (wanted ? [{ label, run, danger }] : []);
  return [
    ...item(allows('rename'), 'Rename …', () => rename(listing, change)),
    ...item(allows('configure'), 'Settings …', () => configure(listing, isLobby, change)),
    ...item(allows('archive') && !isLobby && !listing.archived, 'Archive …', () => archive(listing, change), true),
    ...item(allows('unarchive') && listing.archived, 'Open again', () => change('unarchive').catch(() => {})),
    ...item(allows('leave') && !isLobby, 'Leave …', () => leave(listing, change), true),
  ];
}

function rename({ title }, change) {
  ask({
    title: 'Rename the room',
    fields: [{ name: 'title', label: 'Title', kind: 'text', maxLength: 80, value: title, autocapitalize: 'sentences' }],
    submit: 'Rename',
    run: (values) => change('rename', values, true),
  });
}

function configure({ public: open, slow_seconds: slow = 0, posts_per_second: posts = 0 }, isLobby, change) {
  const number = { kind: 'number', min: 0, step: 'any', inputMode: 'decimal' };
  const before = { public: open, slow_seconds: slow, posts_per_second: posts };
  const tick = { name: 'public', label: 'Public', kind: 'tick', value: open, hint: 'Everybody can find and join it.' };
  ask({
    title: 'Room settings',
    fields: [
      ...(isLobby ? [] : [tick]),
      { ...number, name: 'slow_seconds', label: 'Slow mode', value: slow, hint: 'Seconds between two messages of one member; 0 for none.' },
      { ...number, name: 'posts_per_second', label: 'Messages a second', value: posts, hint: 'For the whole room; 0 for the server’s own limit.' },
    ],
    submit: 'Save',
    run: async (values) => {
      const changed = Object.entries(values)
        .map(([name, value]) => [name, typeof value === 'string' ? Number(value) : value])
        .filter(([name, value]) => value !== before[name]);
      if (changed.length) await change('configure', Object.fromEntries(changed), true);
    },
  });
}

function archive({ title }, change) {
  ask({
    title: `Archive ${title}?`,
    hint: 'The room stays readable, and nobody can write to it. An owner can open it again.',
    submit: 'Archive',
    danger: true,
    run: () => change('archive', {}, true),
  });
}

function leave({ title, public: open }, change) {
  ask({
    title: `Leave ${title}?`,
    hint: open ? 'You can join again at any time.' : 'You need a new invitation to come back.',
    submit: 'Leave',
    danger: true,
    run: () => change('leave', {}, true),
  });
}
