// Search in a transcript.

import assert from "node:assert/strict";
import { test } from "node:test";

import { runningText, search } from "../source/search.js";

const segment = (...words) => ({ words: words.map((word) => ({ word })) });

test("a phrase across words is found with its first and last word", () => {
  const segments = [segment("Good", "morning,", "everyone."), segment("a", "good", "morning", "good", "morning")];
  assert.deepEqual(search(segments, "good morning"), [
    { segment: 0, first: 0, last: 1 },
    { segment: 1, first: 1, last: 2 },
    { segment: 1, first: 3, last: 4 },
  ]);
});

test("case, accents, blanks and apostrophes do not matter; parts of words are found", () => {
  const segments = [segment("Chloé", "didn’t", "ÜBERNACHTEN")];
  assert.deepEqual(search(segments, "  chloe   DIDN'T "), [{ segment: 0, first: 0, last: 1 }]);
  assert.deepEqual(search(segments, "nacht"), [{ segment: 0, first: 2, last: 2 }]);
});

test("scripts without blanks are searched as they are written", () => {
  const segments = [segment("今日", "は", "いい", "天気")];
  assert.deepEqual(search(segments, "はいい"), [{ segment: 0, first: 1, last: 2 }]);
  assert.equal(runningText(segments[0].words), "今日はいい天気");
});

test("nothing is found for an empty search, and signs are no patterns", () => {
  const segments = [segment("what?", "(yes)", "<b>")];
  assert.deepEqual(search(segments, "   "), []);
  assert.deepEqual(search(segments, "(yes) <b>"), [{ segment: 0, first: 1, last: 2 }]);
  assert.deepEqual(search(segments, "."), []);
});
