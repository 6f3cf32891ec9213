// Arithmetic on times.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Intervals, clamped, clock, during, shared, spoken, support, ticks, wordAt, zoomed } from "../source/timeline.js";

const span = (start, end) => ({ start, end });

test("a clock time has hours only where there are some, and rounds down", () => {
  assert.equal(clock(0), "0:00");
  assert.equal(clock(75.999), "1:15");
  assert.equal(clock(3661.25, 1), "1:01:01.2");
  assert.equal(clock(0.3, 1), "0:00.3");
  assert.equal(clock(-1), "0:00");
  assert.equal(spoken(3725), "1 hour 2 minutes 5 seconds");
  assert.equal(spoken(0.2), "0 seconds");
});

test("the support joins what overlaps or touches and drops what is empty", () => {
  assert.deepEqual(support([span(2, 3), span(0, 1), span(1, 1.5), span(5, 5)]), [span(0, 1.5), span(2, 3)]);
});

test("shared time is where two or three speak", () => {
  assert.deepEqual(shared([[span(0, 3)], [span(2, 5)], [span(2.5, 3.5)]]), [span(2, 3.5)]);
  assert.deepEqual(shared([[span(0, 1)], [span(1, 2)]]), []);
});

test("intervals are what a search through all of them finds", () => {
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const items = Array.from({ length: 300 }, () => {
    const start = random() * 100;
    return span(start, start + random() ** 4 * 60);
  }).sort((a, b) => a.start - b.start);
  const intervals = new Intervals(items);
  const matching = (test) => items.flatMap((item, i) => (test(item) ? [i] : []));
  for (let n = 0; n < 200; n++) {
    const time = random() * 120 - 5;
    const end = time + random() * 20 + 0.01;
    assert.deepEqual(intervals.at(time), matching((item) => item.start <= time && time < item.end));
    assert.deepEqual(intervals.overlapping(time, end), matching((item) => item.start < end && item.end > time));
    assert.equal(intervals.before(time), items.findLastIndex((item) => item.start <= time));
  }
});

test("disjoint spans are found by time, whole", () => {
  assert.deepEqual(during([span(0, 1), span(2, 3), span(5, 6)], 1, 5), [span(2, 3)]);
});

test("a word is spoken until a moment after its end", () => {
  const words = [span(0, 0.4), span(0.5, 0.9), span(3, 3.2)];
  assert.equal(wordAt(words, 0.45), 0);
  assert.equal(wordAt(words, 0.5), 1);
  assert.equal(wordAt(words, 2), -1);
  assert.equal(wordAt(words, 3.1), 2);
});

test("a window zooms around a moment and stays within the recording", () => {
  assert.deepEqual(zoomed(span(0, 100), 0.5, 25, 200), span(12.5, 62.5));
  assert.deepEqual(zoomed(span(0, 100), 10, 50, 200), span(0, 200));
  assert.deepEqual(clamped(span(190, 260), 200), span(130, 200));
  assert.deepEqual(clamped(span(5, 5.1), 200), span(5, 7));
  assert.deepEqual(clamped(span(0, 1), 0), span(0, 2));
});

test("an axis has round times, not too many", () => {
  assert.deepEqual(ticks(span(3, 63), 6), { step: 10, times: [10, 20, 30, 40, 50, 60] });
  for (const length of [0.5, 7, 130, 4000, 10800, 500000]) assert.ok(ticks(span(0, length), 12).times.length <= 14);
});
