// What one may do to somebody in a room: the choices of a menu, and the questions that come with them.

import { ask } from './dialog.js';
import { GIVEN, isMember, may, outranks } from './roles.js';

const TIMES = [
  ['600', '10 minutes'],
  ['3600', '1 hour'],
  ['86400', '1 day'],
  ['604800', '1 week'],
  ['', 'Without an end'],
];

/**
 * The menu of a member for somebody with this role in the room: a list for menu.js. `change(verb, fields)` asks the server,
 * which has the last word.
 */
export function choices({ member, role, me, archived, change }) {
  const allows = (action) => may(role, action, archived);
  const above = member.user !== me && outranks(role, member.role);
  const item = (wanted, label, run, danger = false) => (wanted ? [{ label, run, danger }] : []);
  const muted = member.muted_until !== undefined;
  const banned = member.role === 'banned';
  return [
    ...(allows('set_role') && isMember(member.role) && above ? newRoles(member, change) : []),
    ...item(allows('set_role') && member.user === me && role === 'owner', 'Step down as owner …', () => stepDown(me, change)),
    ...item(above && allows('unmute') && muted, 'Let them write again', () => at(change('unmute', { user: member.user }))),
    ...item(above && allows('mute') && !muted && !banned, 'Mute …', () => mute(member, change)),
    ...item(above && allows('kick') && isMember(member.role), 'Remove from the room …', () => kick(member, change), true),
    ...item(above && allows('ban') && !banned, 'Ban from the room …', () => ban(member, change), true),
    ...item(allows('unban') && banned, 'Lift the ban', () => at(change('unban', { user: member.user }))),
  ];
}

function newRoles({ user, role }, change) {
  return Object.entries(GIVEN)
    .filter(([given]) => given !== role)
    .map(([given, name]) => ({ label: `Make ${name}`, run: () => at(change('set_role', { user, role: given })) }));
}

function stepDown(me, change) {
  ask({
    title: 'Step down as owner?',
    hint: 'You stay as a member. Only another owner can make you one again.',
    submit: 'Step down',
    danger: true,
    run: () => change('set_role', { user: me, role: 'member' }, true),
  });
}

function mute({ user }, change) {
  ask({
    title: `Mute ${user}`,
    hint: `${user} can read on, but not write. The room sees it, with your reason.`,
    fields: [howLong(), why()],
    submit: 'Mute',
    run: (values) => change('mute', concerning(user, values), true),
  });
}

function kick({ user }, change) {
  ask({
    title: `Remove ${user}`,
    hint: `${user} can come back: into a public room at any time, into a private one when invited again.`,
    fields: [why()],
    submit: 'Remove',
    danger: true,
    run: (values) => change('kick', concerning(user, values), true),
  });
}

function ban({ user }, change) {
  ask({
    title: `Ban ${user}`,
    hint: `${user} is removed and cannot come back until the ban ends.`,
    fields: [howLong(), why()],
    submit: 'Ban',
    danger: true,
    run: (values) => change('ban', concerning(user, values), true),
  });
}

function howLong() {
  return { name: 'seconds', label: 'For', kind: 'choice', options: TIMES, value: '3600' };
}

/** The question for a reason, which the room sees. */
export function why() {
  return { name: 'reason', label: 'Reason', kind: 'text', maxLength: 200, hint: 'Shown to the room and kept in its records.' };
}

function concerning(user, { seconds = '', reason = '' }) {
  return { user, ...(seconds && { seconds: Number(seconds) }), ...(reason && { reason }) };
}

/** Without a dialog that could show it, a refusal was told where the page shows such things. */
function at(promise) {
  promise.catch(() => {});
}
