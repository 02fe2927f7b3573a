// What was found, in words and numbers: the same as the picture shows, for those who do not see it too.

import { css } from './colours.js';

// A classifier of a thousand classes shows the likeliest ones.
const MOST_CLASSES = 10;

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function swatch(colour) {
  const made = element('span', { className: 'swatch' });
  made.style.backgroundColor = css(colour);
  made.setAttribute('aria-hidden', 'true');
  return made;
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

function table(caption, heads, rows) {
  return element(
    'table',
    {},
    element('caption', { className: 'unseen', textContent: caption }),
    element('thead', {}, element('tr', {}, ...heads.map((head) => element('th', { scope: 'col', textContent: head })))),
    element('tbody', {}, ...rows.map((cells) => element('tr', {}, ...cells.map((cell) => element('td', {}, cell))))),
  );
}

/** The scores of classes as bars, in the order of the classes where they are few. */
export function classesList(scores, { classes }) {
  const ranked = scores.map((score, label) => ({ score, label })).sort((a, b) => b.score - a.score);
  const best = ranked[0].label;
  const shown = ranked.slice(0, MOST_CLASSES);
  if (scores.length <= MOST_CLASSES) shown.sort((a, b) => a.label - b.label);
  const list = element('ol', { className: 'bars' }, ...shown.map(({ score, label }) => {
    const bar = element('span', { className: 'bar' }, element('span', { className: 'filled' }));
    bar.firstChild.style.width = percent(score).replace(' ', '');
    bar.setAttribute('aria-hidden', 'true');
    return element(
      'li',
      { className: label === best ? 'best' : '' },
      element('span', { className: 'name', textContent: classes[label] }),
      bar,
      element('span', { className: 'share', textContent: percent(score) }),
    );
  }));
  return { summary: `${classes[best]}, ${percent(scores[best])}`, content: list };
}

/** Objects with their boxes; pixels: those of the picture's file for one in which boxes are counted. */
export function objectsTable(objects, { classes, palette }, pixels) {
  const summary = `${objects.length} ${objects.length === 1 ? 'object' : 'objects'}`;
  if (!objects.length) return { summary, content: '' };
  const rows = objects.map(({ label, score, box }) => {
    const [left, top, right, bottom] = box.map((at) => Math.round(at * pixels));
    return [
      element('span', {}, swatch(palette[label]), classes[label]),
      score.toFixed(2),
      `${left}, ${top}, ${right}, ${bottom}`,
    ];
  });
  return { summary, content: table('Objects, the surest first', ['Class', 'Score', 'Left, top, right, bottom'], rows) };
}

export function segmentsTable({ labels }, { classes, palette }) {
  const counts = new Map();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  const rows = [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([label, count]) => {
      const name = element('span', {}, swatch(palette[label]), classes[label]);
      return [name, percent(count / labels.length)];
    });
  const summary = `${rows.length} ${rows.length === 1 ? 'class' : 'classes'}`;
  return { summary, content: table('Classes, the largest area first', ['Class', 'Area'], rows) };
}
