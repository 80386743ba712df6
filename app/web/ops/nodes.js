// The hosts that serve the chat. The people of one can be sent to the others, before it is repaired or taken away.

import { element } from '../element.js';
import { showList } from './list.js';

const NAMED = { name: 'nodes', title: 'Nodes', none: 'No node is known.' };

/** Opens the list. */
export function showNodes() {
  return showList('/api/nodes', NAMED, ({ nodes }) => nodes.map(item));
}

function item({ name, processes, connections, drained }) {
  const badge = drained ? element('span', { className: 'badge warn', textContent: 'drained' }) : null;
  const facts = `${amount(connections, 'connection')} · ${amount(processes, 'process', 'processes')}`;
  const words = [
    element('p', { className: 'agent' }, name, badge),
    element('p', { className: 'hint', textContent: facts }),
  ];
  return { words, act: drained ? resuming(name) : draining(name) };
}

function draining(name) {
  return {
    label: 'Drain',
    title: `Drain ${name}`,
    method: 'PUT',
    path: path(name),
    done: `${name} takes nobody in, and sends its people to the other nodes.`,
    gone: `${name} is gone.`,
    sure: { title: `Drain ${name}`, hint: 'Its chats are closed one after the other and go on at the other nodes. Nothing is lost.' },
  };
}

function resuming(name) {
  return {
    label: 'Resume',
    title: `Resume ${name}`,
    method: 'DELETE',
    path: path(name),
    done: `${name} takes people in again.`,
    gone: `${name} was not drained any more.`,
  };
}

function path(name) {
  return `/api/nodes/${encodeURIComponent(name)}/drain`;
}

function amount(count, one, more = `${one}s`) {
  return `${count} ${count === 1 ? one : more}`;
}
