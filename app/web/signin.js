// Signing in: name and password, and the choice of a password after a one-time one.

import { momentIn } from './countdown.js';
import { byId } from './element.js';
import { Notice } from './notice.js';
import { refusal } from './words.js';

const SHORTEST = 12;

/** The sign-in form. `hooks`: request (api.js), signedIn(session). */
export class SignIn {
  #form = byId('sign-in');
  #name = byId('name');
  #password = byId('password');
  #fresh = byId('new-password');
  #repeat = byId('repeat-password');
  #button = byId('sign-in-button');
  #notice = new Notice(byId('sign-in-notice'), byId('name'));
  #choosing = false;
  #held = false;
  #hooks;

  constructor(hooks) {
    this.#hooks = hooks;
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    byId('show-password').addEventListener('change', (event) => this.#reveal(event.target.checked));
    byId('start-over').addEventListener('click', () => this.open());
  }

  /** Shows an empty form, and why one is asked to sign in if there is a reason. */
  open(why = null) {
    this.#form.reset();
    this.#reveal(false);
    this.#choose(false);
    this.#hold(false);
    this.#notice.clear();
    if (why) this.#notice.show(why);
    this.#name.focus();
  }

  async #submit() {
    if (this.#held || !this.#complete()) return;
    this.#notice.clear();
    this.#hold(true, this.#choosing ? 'Saving' : 'Signing in');
    try {
      const session = await this.#hooks.request('POST', '/api/session', this.#content());
      this.#form.reset();
      this.#hold(false);
      this.#hooks.signedIn(session);
    } catch (problem) {
      this.#hold(false);
      this.#refused(problem);
    }
  }

  #content() {
    const content = { name: this.#name.value.trim().toLowerCase(), password: this.#password.value };
    return this.#choosing ? { ...content, new_password: this.#fresh.value } : content;
  }

  #complete() {
    const empty = [this.#name, this.#password].find((input) => !input.value.trim());
    if (empty) return this.#complain(empty, empty === this.#name ? 'Enter your name.' : 'Enter your password.');
    if (!this.#choosing) return true;
    if ([...this.#fresh.value].length < SHORTEST) {
      return this.#complain(this.#fresh, `The new password needs at least ${SHORTEST} characters.`);
    }
    if (this.#fresh.value === this.#password.value) {
      return this.#complain(this.#fresh, 'The new password has to differ from the one-time password.');
    }
    if (this.#fresh.value === this.#repeat.value) return true;
    return this.#complain(this.#repeat, 'The two new passwords differ.');
  }

  #complain(input, text) {
    this.#notice.show({ text, tone: 'danger' });
    this.#mark(input);
    input.focus();
    return false;
  }

  #refused(problem) {
    if (problem.reason === 'password_change_required') return this.#choose(true, refusal(problem));
    if (problem.status === 429) return this.#throttled(problem);
    if (problem.reason === 'credentials_wrong') {
      this.#complain(this.#password, refusal(problem));
      return this.#password.select();
    }
    return this.#notice.show({ text: refusal(problem), tone: 'danger' });
  }

  #throttled(problem) {
    const until = momentIn(problem.retryAfter ?? 1);
    const over = () => {
      this.#notice.clear();
      this.#hold(false);
    };
    this.#hold(true);
    this.#notice.show({ text: 'Too many sign-ins. You can try again in {time}.', tone: 'warn', until, over });
  }

  #choose(yes, text = '') {
    this.#choosing = yes;
    byId('choose').hidden = !yes;
    byId('credentials').hidden = yes;
    byId('start-over').hidden = !yes;
    byId('sign-in-title').textContent = yes ? 'Choose a password' : 'Sign in';
    byId('sign-in-hint').hidden = yes;
    this.#mark(null);
    this.#label();
    if (!yes) return;
    this.#notice.show({ text });
    this.#fresh.focus();
  }

  /** Nothing can be submitted while a request runs or a throttle lasts. */
  #hold(yes, label = null) {
    this.#held = yes;
    this.#button.disabled = yes;
    this.#label(label);
  }

  #label(label = null) {
    this.#button.textContent = label ?? (this.#choosing ? 'Save and sign in' : 'Sign in');
  }

  #mark(input) {
    for (const each of [this.#name, this.#password, this.#fresh, this.#repeat]) {
      each.setAttribute('aria-invalid', String(each === input));
    }
  }

  #reveal(yes) {
    for (const input of [this.#password, this.#fresh, this.#repeat]) input.type = yes ? 'text' : 'password';
  }
}
