// Layout of overlapping segments.

import assert from "node:assert/strict";
import { test } from "node:test";

import { overlapGroups } from "../source/layout.js";

const segment = (speaker, start, end) => ({ speaker, start, end });

test("segments that share no time stand alone", () => {
  const groups = overlapGroups([segment("A", 0, 1), segment("B", 1, 2)]);
  assert.deepEqual(groups.map(({ first, columns }) => [first, columns]), [[0, 1], [1, 1]]);
});

test("a chain of overlaps lies in two columns, each segment beside those that are spoken while it is", () => {
  const [group] = overlapGroups([segment("A", 0, 5), segment("B", 4, 9), segment("A", 8, 12), segment("B", 11, 15)]);
  assert.equal(group.columns, 2);
  assert.deepEqual(group.places, [
    { column: 1, row: 1, end: 3 },
    { column: 2, row: 2, end: 4 },
    { column: 1, row: 3, end: 5 },
    { column: 2, row: 4, end: 5 },
  ]);
});

test("no two segments lie on one another, and those that overlap share a row", () => {
  let seed = 11;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const segments = [];
  for (let n = 0, at = 0; n < 2000; n++, at += random() * 2.5) segments.push(segment(`P${Math.floor(random() * 6)}`, at, at + 0.05 + random() * 4));
  let side = 0;
  for (const { first, columns, places } of overlapGroups(segments)) {
    if (columns > 1) side++;
    places.forEach((place, i) => {
      assert.ok(place.column <= columns && place.end > place.row);
      for (let j = 0; j < i; j++) {
        const rows = places[j].row < place.end && place.row < places[j].end;
        assert.ok(!(rows && places[j].column === place.column), `${first + j} and ${first + i} lie on one another`);
        const together = segments[first + j].end > segments[first + i].start;
        if (columns > 1 && together) assert.ok(rows, `${first + j} and ${first + i} are spoken together`);
      }
    });
  }
  assert.ok(side > 50);
});

test("where more people speak at once than there is room for, segments stand below each other", () => {
  const [group] = overlapGroups(["A", "B", "C", "D"].map((speaker, n) => segment(speaker, n * 0.5, 10)));
  assert.equal(group.columns, 1);
  assert.deepEqual(group.places.map(({ row }) => row), [1, 2, 3, 4]);
});
