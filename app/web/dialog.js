// A question that takes a form: built when it is asked, gone when it is answered.

import { element, icon } from './element.js';
import { Notice } from './notice.js';
import { answer } from './words.js';

let count = 0;

/**
 * Asks. `fields` are {name, label, kind, value, …}: kind is text, lines, number, choice (with `options`, a list of
 * [value, label]) or tick; further properties are set on the input. `run(values)` does what was asked for: when it throws a
 * Problem, its sentence is shown and the dialog stays; a function that it returns is called when the dialog is gone.
 */
export function ask({ title, hint = '', fields = [], submit, danger = false, run }) {
  const names = `dialog-${(count += 1)}`;
  const inputs = fields.map((field) => input(field, `${names}-${field.name}`));
  const notice = element('div', { className: 'notice', hidden: true });
  const button = element('button', { type: 'submit', className: `button primary${danger ? ' danger' : ''}`, textContent: submit });
  const form = element(
    'form',
    { className: 'fields', method: 'dialog', noValidate: true },
    hint ? element('p', { className: 'hint', textContent: hint }) : null,
    ...fields.map((field, at) => row(field, inputs[at])),
    notice,
    button,
  );
  const dialog = frame(names, title, form);
  const told = new Notice(notice, button);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    submitted({ dialog, button, told, run, values: () => read(fields, inputs), inputs });
  });
  for (const box of inputs) if (box.tagName === 'TEXTAREA') box.addEventListener('keydown', (event) => send(form, event));
  (inputs[0] ?? button).focus();
  return dialog;
}

/** An open dialog with a title, a button that closes it, and this content. */
export function frame(name, title, ...content) {
  const close = element('button', { type: 'button', className: 'button quiet icon-button', 'aria-label': 'Close' }, icon('close'));
  const head = element('header', {}, element('h2', { id: `${name}-heading`, textContent: title, tabIndex: -1 }), close);
  const dialog = element('dialog', { className: 'sheet', 'aria-labelledby': `${name}-heading` }, head, ...content);
  close.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => {
    dialog.remove();
    // the browser gives the focus back to what had it, unless that is gone
    if (document.activeElement === document.body) document.getElementById('message')?.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Closes whatever was asked: nobody is there to answer any more. */
export function closeAll() {
  for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
}

async function submitted({ dialog, button, told, run, values, inputs }) {
  if (button.disabled) return;
  button.disabled = true;
  told.clear();
  try {
    const then = await run(values());
    dialog.close();
    if (typeof then === 'function') then();
  } catch (problem) {
    told.show({ text: answer(problem), tone: 'danger' });
    button.disabled = false;
    (inputs[0] ?? button).focus();
  }
}

/** As in the message box: Enter sends, Shift + Enter starts a new line. */
function send(form, event) {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
}

function input({ kind, name: _, label: __, hint: ___, value = '', options = [], ...properties }, id) {
  if (kind === 'choice') {
    const choices = options.map(([choice, text]) => element('option', { value: choice, textContent: text }));
    const select = element('select', { id, ...properties }, ...choices);
    select.value = value;
    return select;
  }
  if (kind === 'tick') return element('input', { id, type: 'checkbox', checked: Boolean(value), ...properties });
  if (kind === 'lines') return element('textarea', { id, rows: 4, value, ...properties });
  const plain = { autocomplete: 'off', autocapitalize: 'none', spellcheck: false };
  return element('input', { id, type: kind, value, ...plain, ...properties });
}

function row({ kind, label, hint = '' }, box) {
  if (kind === 'tick') {
    const words = element('span', {}, label, hint ? element('span', { className: 'hint', textContent: hint }) : null);
    return element('label', { className: 'tick' }, box, words);
  }
  const below = hint ? element('p', { className: 'hint', id: `${box.id}-hint`, textContent: hint }) : null;
  if (below) box.setAttribute('aria-describedby', below.id);
  return element('div', { className: 'field' }, element('label', { htmlFor: box.id, textContent: label }), box, below);
}

function read(fields, inputs) {
  const value = (box) => (box.type === 'checkbox' ? box.checked : box.value.trim());
  return Object.fromEntries(fields.map(({ name }, at) => [name, value(inputs[at])]));
}
