// The keyboard in the message list: arrows walk from message to message, Enter opens what can be done with one.

/** Makes the messages in `log` reachable with the keys; Escape goes back to the log itself. */
export function walkable(log) {
  log.addEventListener('keydown', (event) => {
    const item = document.activeElement.closest('.message');
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step && document.activeElement.matches('.log, .message')) walk(log, item, step);
    else if (event.key === 'Enter' && item === document.activeElement) item.querySelector('.more')?.click();
    else if (event.key === 'Escape' && item) log.focus({ preventScroll: true });
    else return;
    event.preventDefault();
  });
}

function walk(log, item, step) {
  const items = [...log.querySelectorAll('.message')];
  const to = item ? items.indexOf(item) + step : items.length - 1;
  items[to]?.focus();
}
