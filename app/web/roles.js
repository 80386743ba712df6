// Who may do what in a room: the server's own table (app/roles.py) once more, only to offer what it will allow.

const VISITOR = ['see', 'join'];
const INVITED = [...VISITOR, 'leave'];
const MEMBER = [...INVITED, 'history', 'read', 'members', 'typing', 'post', 'edit', 'delete'];
const MODERATOR = [...MEMBER, 'delete_any', 'invite', 'kick', 'ban', 'unban', 'mute', 'unmute', 'audit'];
const OWNER = [...MODERATOR, 'set_role', 'rename', 'configure', 'archive', 'unarchive'];

const TABLE = { owner: OWNER, moderator: MODERATOR, member: MEMBER, invited: INVITED, guest: VISITOR };
const WHEN_ARCHIVED = new Set([
  ...['see', 'leave', 'history', 'read', 'members', 'audit'],
  ...['unarchive', 'delete', 'delete_any', 'kick', 'ban', 'unban'],
]);
const RANK = { owner: 2, moderator: 1 };

/** The roles that an owner can give, highest first, in a person's words. */
export const GIVEN = { owner: 'owner', moderator: 'moderator', member: 'member' };

/** Whether this role may do it in a room that is archived or not. */
export function may(role, action, archived = false) {
  return (TABLE[role] ?? []).includes(action) && (!archived || WHEN_ARCHIVED.has(action));
}

/** Whether one role may act on somebody of the other: owners on all but owners, moderators on all below them. */
export function outranks(role, other) {
  return (RANK[role] ?? 0) > (RANK[other] ?? 0);
}

/** Whether somebody of this role is in the room. */
export function isMember(role) {
  return role in GIVEN;
}
