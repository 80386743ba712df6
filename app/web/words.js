// What refusals, throttles and closes are called on the page: a reason of the server in, a person's sentence out.

import { spell } from './countdown.js';

const REFUSALS = {
  unreachable: 'The server does not answer.',
  draining: 'The server is restarting.',
  backend_down: 'The chat is not available right now.',
  busy: 'The server is busy. Try again in a moment.',
  not_found: 'That is not there any more.',
  node_full: 'The server is full at the moment.',
  ip_rate: 'Too many connection attempts came from your network.',
  user_cooldown: 'You were sending far too fast, so the gate is closed for you for a while.',
  user_connections: 'You have too many chats open. Close one in another tab or device.',
  ip_connections: 'Too many chats are open from your network. Close one first.',
  account_disabled: 'This account is disabled. An administrator can open it again.',
  account_banned: 'This account is banned. An administrator can lift the ban.',
  ip_banned: 'Your network address is banned. An administrator can lift the ban.',
  origin_forbidden: 'This server does not accept chats from this address of the page.',
  host_unknown: 'This server does not know itself under this address.',
  credential_missing: 'You are signed out. Please sign in.',
  token_expired: 'Your session has expired. Please sign in again.',
  token_revoked: 'Your session was ended. Please sign in again.',
  token_invalid: 'Your session is no longer valid. Please sign in again.',
  credentials_wrong: 'Name or password is wrong.',
  password_change_required: 'This password works only once. Choose your own now.',
  rate_limited: 'That was too often.',
  offline: 'You are not connected. Try again when you are.',
  unanswered: 'The connection was lost before the server answered. Look whether it was done, then try again.',
};

/** Refusals that waiting or asking again does not change. */
const FINAL = new Set([
  'account_disabled',
  'account_banned',
  'ip_banned',
  'origin_forbidden',
  'host_unknown',
  'handshake_invalid',
  'subprotocol_unknown',
]);

/** Refusals that time alone lifts, so that asking sooner is pointless. */
const TIMED = new Set(['ip_rate', 'user_cooldown', 'rate_limited']);

const CLOSES = {
  4500: 'You were disconnected for flooding the room.',
  4501: 'Your session was ended.',
  4502: 'This account was disabled. An administrator can open it again.',
  4503: 'This account was banned. An administrator can lift the ban.',
  4504: 'Your network address was banned. An administrator can lift the ban.',
  4505: 'This page sent what the server could not read, and was disconnected. Reload it to get the current version.',
};

const LIMITS = {
  posts_per_user: 'posts per user',
  posts_per_room: 'posts in this room',
  frames_per_connection: 'frames per connection',
  bytes_per_user: 'bytes per user',
  unacked_posts: 'messages on their way',
  malformed_frames: 'unreadable frames',
  members_per_room: 'people in this room',
  slow_mode: 'slow mode of this room',
  changes_per_user: 'changes per user',
  reads_per_user: 'requests per user',
};

const POST_ERRORS = {
  too_long: 'That message is too long.',
  blank: 'There is nothing in that message to read.',
  not_joined: 'You are not in this room any more.',
  room_unknown: 'This room is gone.',
  room_full: 'This room is full.',
  room_archived: 'This room is archived: it can be read, not written to.',
  removed: 'You are not in this room any more.',
};

/** Why a request or a handshake was refused. */
export function refusal(problem) {
  const why = REFUSALS[problem.reason] ?? (problem.detail || 'The server refused.');
  return problem.reason === 'internal' ? failure(why, problem) : why;
}

/** A bug of the server's: whoever runs it finds it by the request's id. */
function failure(why, { requestId }) {
  return requestId ? `${why} To report it, quote request ${requestId}.` : why;
}

/** Why something that a person asked for was not done, and when to ask again. */
export function answer(problem) {
  const own = ['rate_limited', 'internal'].includes(problem.reason) || !problem.detail;
  const why = own ? refusal(problem) : problem.detail;
  return problem.retryAfter ? `${why} Try again in ${spell(problem.retryAfter)}.` : why;
}

export function isFinal(problem) {
  return FINAL.has(problem.reason);
}

export function isTimed(problem) {
  return TIMED.has(problem.reason) && problem.retryAfter !== null;
}

/** What a terminal close code (4500–4999) means for the person. */
export function closing(code, reason) {
  return CLOSES[code] ?? `The server closed this chat${reason ? ` (${reason.replaceAll('_', ' ')})` : ''}.`;
}

/** The sentences of a throttle: while it lasts, with `{time}` where the countdown goes, and when it is over. */
export function throttle(limit) {
  const name = limit ? ` (${LIMITS[limit] ?? limit.replaceAll('_', ' ')})` : '';
  const busy = limit === 'posts_per_room';
  return {
    lasting: `${busy ? 'This room is very busy' : 'You are sending too fast'}${name}. You can send again in {time}.`,
    over: `${busy ? 'This room was very busy' : 'You were sending too fast'}${name}. You can send again now.`,
  };
}

/** Why one post was refused. */
export function postError(code, text) {
  return POST_ERRORS[code] ?? text ?? 'The server refused that message.';
}

/** `ada`, `ada and bob`, `ada, bob and 3 others`. */
export function people(names) {
  if (names.length > 4) return `${names.slice(0, 3).join(', ')} and ${names.length - 3} others`;
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}
