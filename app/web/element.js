// Building the page's elements. Text enters only as text nodes, so nothing that a person wrote is ever parsed as HTML.

const SVG = 'http://www.w3.org/2000/svg';

/** The element with this id; throws when the page lacks it, which is a bug. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** A new element: `properties` are set as DOM properties, `aria-*`, `data-*` and `role` as attributes. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (/^(aria|data)-|^role$/.test(name)) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** One of the symbols in index.html, for the eye only. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  const use = document.createElementNS(SVG, 'use');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  use.setAttribute('href', `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** A button that does this. */
export function button(className, label, run, ...children) {
  const made = element('button', { type: 'button', className }, ...children);
  if (children.length) made.setAttribute('aria-label', label);
  else made.textContent = label;
  made.addEventListener('click', run);
  return made;
}

/** Sets the text only when it differs: a live region would announce it again, and the browser would lay it out again. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Has `parent` hold these and nothing else, in this order. Who is in place already is not moved: it keeps focus and a begun click. */
export function setChildren(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, at) => {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  });
}
