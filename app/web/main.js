// The page: the gate when signed out, the chat when signed in. The only module that knows both.

import { request } from './api.js';
import { Chat } from './chat.js';
import { byId } from './element.js';
import { rememberSignedIn, wasSignedIn } from './memory.js';
import { Sessions } from './sessions.js';
import { SignIn } from './signin.js';
import { refusal } from './words.js';

const gate = byId('gate');
const room = byId('chat');

const signIn = new SignIn({ request, signedIn: enter });
const chat = new Chat({ unauthorised });
const sessions = new Sessions({ request, unauthorised, endedOwn: signOut });

function enter(session) {
  rememberSignedIn(true);
  gate.hidden = true;
  room.hidden = false;
  byId('show-ops').hidden = !session.admin;
  chat.open(session);
}

function leave(why = null, forget = false) {
  rememberSignedIn(false);
  sessions.close();
  chat.close({ forget });
  room.hidden = true;
  gate.hidden = false;
  signIn.open(why);
}

function unauthorised(problem) {
  // The browser drops a cookie that has expired, so that the server cannot say why there is none.
  const expired = chat.isEnding && problem.reason === 'credential_missing';
  leave({ text: refusal(expired ? { reason: 'token_expired' } : problem), tone: 'warn' });
}

async function signOut() {
  chat.disconnect();
  try {
    await request('DELETE', '/api/session');
  } catch (problem) {
    // whoever leaves a shared machine must not believe that the session is over when it is not
    if (problem.status !== 401) {
      return chat.resume('You could not be signed out. Try again in a moment.');
    }
  }
  return leave({ text: 'You are signed out.' }, true);
}

async function begin() {
  if (!wasSignedIn()) return leave();
  try {
    return enter(await request('GET', '/api/session'));
  } catch (problem) {
    if (problem.status === 401) return leave();
    gate.hidden = false;
    const action = { label: 'Try again', run: begin };
    return signIn.open({ text: refusal(problem), tone: 'warn', action });
  }
}

byId('show-sessions').addEventListener('click', () => sessions.open(byId('me').textContent));
byId('sign-out').addEventListener('click', signOut);
begin();
