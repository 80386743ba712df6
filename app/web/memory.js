// What outlives a reload of this tab: the draft and the posts that nobody confirmed yet. Nothing of it leaves the tab.

const PREFIX = 'portcullis.';
const SIGNED_IN = `${PREFIX}signed-in`;

/** Reads and writes one person's tab storage; a browser that forbids storage only forgets. */
export class Memory {
  #name;

  constructor(name) {
    this.#name = name;
  }

  /** The value kept under this key, or `otherwise`. */
  read(key, otherwise) {
    return attempt(() => JSON.parse(sessionStorage.getItem(this.#path(key)))) ?? otherwise;
  }

  write(key, value) {
    attempt(() => sessionStorage.setItem(this.#path(key), JSON.stringify(value)));
  }

  /** Forgets everything this person left in the tab. */
  clear() {
    attempt(() => {
      const own = Object.keys(sessionStorage).filter((key) => key.startsWith(this.#path('')));
      own.forEach((key) => sessionStorage.removeItem(key));
    });
  }

  #path(key) {
    return `${PREFIX}${this.#name}/${key}`;
  }
}

/** Whether this browser signed in before: only then is it worth asking the server for a session. True when it cannot be known. */
export function wasSignedIn() {
  return attempt(() => localStorage.getItem(SIGNED_IN) !== null) ?? true;
}

export function rememberSignedIn(yes) {
  attempt(() => (yes ? localStorage.setItem(SIGNED_IN, '1') : localStorage.removeItem(SIGNED_IN)));
}

function attempt(action) {
  try {
    return action();
  } catch {
    return null;
  }
}
