// Colours of classes, of words on them, and of amounts.

/** @param {number[]} colour red, green, blue */
export function css([red, green, blue], alpha = 1) {
  return `rgb(${red} ${green} ${blue} / ${alpha})`;
}

/** Black or white, whichever is easier to read on a colour: relative luminance as WCAG defines it. */
export function inkOn(colour) {
  const [red, green, blue] = colour.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? 'black' : 'white';
}

// From dark to bright, so that the order survives in grey.
const AMOUNTS = [[20, 11, 53], [101, 21, 110], [188, 55, 84], [237, 105, 37], [251, 180, 26], [252, 255, 164]];

/** The colour of an amount from 0 to 1. */
export function heat(amount) {
  const at = Math.min(Math.max(amount, 0), 1) * (AMOUNTS.length - 1);
  const below = Math.min(Math.floor(at), AMOUNTS.length - 2);
  return AMOUNTS[below].map((part, i) => Math.round(part + (AMOUNTS[below + 1][i] - part) * (at - below)));
}
