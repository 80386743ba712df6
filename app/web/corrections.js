// What one may do to a message: its menu and the questions behind it.

import { ask } from './dialog.js';
import { why } from './moderation.js';
import { may } from './roles.js';

const QUOTED = 120;

/** The menu of a row: a list for menu.js. `change(verb, fields, inDialog)` asks the server and throws a Problem. */
export function corrections({ row, listing, change }) {
  if (row.kind !== 'message' || row.offset === null || row.deleted) return [];
  const allows = (action) => may(listing.role, action, listing.archived);
  const canEdit = row.own && allows('edit') && listing.muted_until === undefined;
  const canDelete = allows(row.own ? 'delete' : 'delete_any');
  return [
    ...(canEdit ? [{ label: 'Edit …', run: () => edit(row, change) }] : []),
    ...(canDelete ? [{ label: 'Delete …', run: () => remove(row, change), danger: true }] : []),
  ];
}

function edit(row, change) {
  ask({
    title: 'Edit your text',
    fields: [{ name: 'message', label: 'New text', kind: 'lines', value: row.text }],
    submit: 'Save',
    run: ({ message }) => message === row.text || change('edit', { target: row.offset, message }, true),
  });
}

function remove(row, change) {
  ask({
    title: row.own ? 'Delete this text of yours?' : `Delete this text of ${row.sender}?`,
    hint: row.text.length > QUOTED ? `${row.text.slice(0, QUOTED)} …` : row.text,
    fields: row.own ? [] : [why()],
    submit: 'Delete',
    danger: true,
    run: ({ reason }) => change('delete', { target: row.offset, ...(reason && { reason }) }, true),
  });
}
