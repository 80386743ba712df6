// Where a message is written: counter, draft, Enter, and when sending has to wait.

import { countDown, spell } from './countdown.js';
import { setText } from './element.js';

const NEAR = 0.9;
const SAVE_MS = 250;

/** Counts as the server does: Unicode code points, not UTF-16 units. */
export function codePoints(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** The message box. `hooks`: send(text) returns true when the text was taken; typed() hears that something is being written. */
export class Composer {
  #form;
  #box;
  #button;
  #counter;
  #counterText;
  #label;
  #memory;
  #key = '';
  #limit = 500;
  #hooks;
  #live = false;
  #paused = false;
  #stop = () => {};
  #saving = 0;

  constructor({ form, box, button, counter, counterText }, hooks) {
    this.#form = form;
    this.#box = box;
    this.#button = button;
    this.#label = button.querySelector('span');
    this.#counter = counter;
    this.#counterText = counterText;
    this.#hooks = hooks;
    form.addEventListener('submit', (event) => this.#submitted(event));
    box.addEventListener('keydown', (event) => this.#pressed(event));
    box.addEventListener('input', () => {
      this.#typed();
      if (this.#live && this.text.trim()) hooks.typed();
    });
    addEventListener('pagehide', () => this.#save());
  }

  /** Starts with the draft this person left for the room in this tab. */
  open({ memory, limit, room, title }) {
    this.#save();
    this.#memory = memory;
    this.#key = `draft/${room}`;
    this.#limit = limit;
    this.resume();
    this.title = title;
    this.text = memory.read(this.#key, '');
  }

  set title(title) {
    this.#box.placeholder = `Message ${title}`;
  }

  /** Forgets who was writing, and what. */
  close() {
    this.#memory = null;
    this.live = false;
    this.resume();
    this.text = '';
  }

  get text() {
    return this.#box.value;
  }

  set text(value) {
    this.#box.value = value;
    this.#typed();
  }

  /** Whether one may write here. */
  set live(value) {
    this.#live = value;
    this.#box.readOnly = !value;
    this.#offer();
  }

  /** Holds sending back until then (a moment of performance.now()); the draft can still be edited. */
  pause(until) {
    this.#stop();
    this.#paused = true;
    this.#offer();
    this.#stop = countDown(
      until,
      (left) => setText(this.#label, spell(left)),
      () => this.resume(),
    );
  }

  resume() {
    this.#stop();
    this.#paused = false;
    setText(this.#label, 'Send');
    this.#offer();
  }

  focus() {
    this.#box.focus();
  }

  #pressed(event) {
    const plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
    if (event.key !== 'Enter' || !plain || event.isComposing) return;
    event.preventDefault();
    this.#submit();
  }

  #submitted(event) {
    event.preventDefault();
    this.#submit();
    this.focus();
  }

  #submit() {
    if (!this.#sendable() || !this.#hooks.send(this.text)) return;
    this.text = '';
    this.#save();
  }

  #sendable() {
    const length = codePoints(this.text);
    return this.#live && !this.#paused && this.text.trim() !== '' && length <= this.#limit;
  }

  #typed() {
    this.#grow();
    this.#count();
    this.#offer();
    clearTimeout(this.#saving);
    this.#saving = setTimeout(() => this.#save(), SAVE_MS);
  }

  #offer() {
    this.#button.disabled = !this.#sendable();
    this.#form.classList.toggle('paused', this.#paused);
  }

  #grow() {
    this.#box.style.height = 'auto';
    this.#box.style.height = `${this.#box.scrollHeight + 2}px`; // the border is not part of scrollHeight
  }

  #count() {
    const length = codePoints(this.text);
    const left = this.#limit - length;
    setText(this.#counter, `${length} / ${this.#limit}`);
    this.#counter.dataset.tone = left < 0 ? 'danger' : length >= this.#limit * NEAR ? 'warn' : '';
    this.#box.setAttribute('aria-invalid', String(left < 0));
    setText(this.#counterText, this.#heard(length, left));
  }

  /** Heard when it begins to matter, then every tenth character, not with every key. */
  #heard(length, left) {
    if (left < 0) return 'Too long: shorten the message to send it';
    return length >= this.#limit * NEAR ? `${Math.ceil(left / 10) * 10} characters left at most` : '';
  }

  #save() {
    clearTimeout(this.#saving);
    this.#memory?.write(this.#key, this.text);
  }
}
