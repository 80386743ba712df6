// Who was closed for flooding and has to wait; each can be let off.

import { until } from '../countdown.js';
import { element } from '../element.js';
import { showList } from './list.js';

const NAMED = {
  name: 'cooldowns',
  title: 'Cool-downs',
  none: 'Nobody is cooling down.',
  hint: 'Who kept sending through many throttles was closed, and may not come back until then. Who is let off starts afresh.',
};

/** Opens the list. */
export function showCooldowns() {
  return showList('/api/cooldowns', NAMED, ({ cooldowns }) => cooldowns.map(item));
}

function item({ user, until: end }) {
  const words = [
    element('p', { className: 'agent', textContent: user }),
    element('p', { className: 'hint', textContent: until(end) }),
  ];
  const act = {
    label: 'Lift',
    title: `Lift the cool-down of ${user}`,
    method: 'DELETE',
    path: `/api/cooldowns/${encodeURIComponent(user)}`,
    done: `The cool-down of ${user} is lifted.`,
    gone: `The cool-down of ${user} was over already.`,
  };
  return { words, act };
}
