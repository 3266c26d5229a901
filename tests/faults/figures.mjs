// Chance that can be repeated, and tables.

/** Numbers from 0 to 1, the same for the same seed (xorshift32, Marsaglia 2003). */
export function random(seed) {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

/** A table in Markdown. */
export function table(header, rows) {
  const all = [header, ...rows].map((row) => row.map(String));
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  const line = (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`;
  const [first, ...others] = all.map(line);
  return [first, `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...others].join('\n');
}

/** Milliseconds in words of a table. */
export const seconds = (milliseconds) => (milliseconds / 1_000).toFixed(1);

/** The median and the largest of some milliseconds, in seconds; `-` of none. */
export function spread(times) {
  if (times.length === 0) return '-';
  const sorted = times.toSorted((one, other) => one - other);
  return `${seconds(sorted[Math.floor(sorted.length / 2)])}, at most ${seconds(sorted.at(-1))}`;
}
