// What changed in a room, as a sentence for a person.

import { until } from './countdown.js';

const MEMBER = {
  joined: ['{user} joined', 'You joined'],
  left: ['{user} left', 'You left'],
  declined: ['{user} declined the invitation', 'You declined the invitation'],
  invited: ['{by} invited {user}', '{by} invited you'],
  kicked: ['{by} removed {user}', '{by} removed you'],
  banned: ['{by} banned {user}', '{by} banned you'],
  unbanned: ['{by} lifted the ban of {user}', '{by} lifted your ban'],
  muted: ['{by} muted {user}', '{by} muted you'],
  unmuted: ['{by} let {user} write again', '{by} let you write again'],
  role: ['{by} made {user} {role}', '{by} made you {role}'],
};
const ROLES = { owner: 'an owner', moderator: 'a moderator', member: 'a member' };
const TIMED = new Set(['banned', 'muted']);

/** One sentence without a full stop at its end when it has no reason: `ada banned bob until 14:05: spam`. */
export function told(event, me) {
  const sentence = event.type === 'room' ? roomStory(event, me) : memberStory(event, me);
  return event.reason ? `${sentence}: ${event.reason}` : sentence;
}

function memberStory({ change, user, sender, role, until: end }, me) {
  const forms = MEMBER[change] ?? [`{by}: ${change} {user}`, `{by}: ${change} you`];
  const time = TIMED.has(change) && end !== undefined ? ` ${until(end)}` : '';
  const values = { user, by: sender === me ? 'You' : sender, role: ROLES[role] ?? 'a member' };
  return forms[user === me ? 1 : 0].replace(/\{(\w+)\}/g, (_, name) => values[name]) + time;
}

function roomStory({ change, sender, title, public: open, posts_per_second: posts, slow_seconds: slow }, me) {
  const by = sender === me ? 'You' : sender;
  if (change === 'created') return `${by} made this room`;
  if (change === 'renamed') return `${by} renamed the room to “${title}”`;
  if (change === 'archived') return `${by} archived the room`;
  if (change === 'unarchived') return `${by} opened the room again`;
  const settings = [
    open === undefined ? null : open ? 'made the room public' : 'made the room private',
    slow === undefined ? null : slow > 0 ? `set slow mode to one message in ${slow} s` : 'ended slow mode',
    posts === undefined ? null : posts > 0 ? `limited the room to ${posts} messages a second` : 'lifted the room’s own limit',
  ].filter(Boolean);
  return `${by} ${settings.join(' and ') || 'changed the room'}`;
}
