// Layout of overlapping segments: which stand side by side, and where in a small grid whose rows are time.

const LONGEST_GROUP = 24;
const MOST_COLUMNS = 3;
const SAME_ROW = 0.4;

/**
 * @typedef {object} Place
 * @property {number} column from 1
 * @property {number} row from 1
 * @property {number} end the row after its last one
 */

/**
 * The segments (sorted by start) in groups: alone, or a chain of segments each of which overlaps another one.
 * In a group a segment lies beside those that are spoken while it is. `columns` is 1 where more people speak at once
 * than there is room for; then the group's segments stand below each other.
 * @returns {{first: number, columns: number, places: Place[]}[]}
 */
export function overlapGroups(segments) {
  const groups = [];
  let first = 0;
  while (first < segments.length) {
    let last = first;
    let end = segments[first].end;
    while (last + 1 < segments.length && last + 1 - first < LONGEST_GROUP && segments[last + 1].start < end) {
      last += 1;
      end = Math.max(end, segments[last].end);
    }
    groups.push({ first, ...placed(segments.slice(first, last + 1)) });
    first = last + 1;
  }
  return groups;
}

function placed(segments) {
  const columns = [];
  const rows = [];
  const places = [];
  let crowded = false;
  segments.forEach((segment) => {
    const rowStart = rows.at(-1);
    const sameRow = rowStart !== undefined && segment.start - rowStart < SAME_ROW && columnFor(columns, segment, rowStart) >= 0;
    if (!sameRow) rows.push(segment.start);
    const column = columnFor(columns, segment, rows.at(-1));
    crowded ||= column < 0;
    if (column >= 0) columns[column] = { end: segment.end, speaker: segment.speaker };
    places.push({ column: column + 1, row: rows.length, end: 0 });
  });
  if (crowded) return { columns: 1, places: segments.map((_, i) => ({ column: 1, row: i + 1, end: i + 2 })) };
  places.forEach((place, i) => {
    const later = rows.findIndex((start, row) => row + 1 > place.row && start >= segments[i].end);
    place.end = later < 0 ? rows.length + 1 : later + 1;
  });
  return { columns: columns.length, places };
}

/** A column that is free when the row begins, the person's last one before others; -1 where there is none. */
function columnFor(columns, segment, rowStart) {
  const free = (column) => column.end <= rowStart;
  const own = columns.findIndex((column) => free(column) && column.speaker === segment.speaker);
  if (own >= 0) return own;
  const any = columns.findIndex(free);
  if (any >= 0) return any;
  return columns.length < MOST_COLUMNS ? columns.length : -1;
}
