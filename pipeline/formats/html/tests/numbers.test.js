// Numbers of a meeting.

import assert from "node:assert/strict";
import { test } from "node:test";

import { numbers } from "../source/numbers.js";

const turn = (speaker, start, end) => ({ speaker, start, end });

const doc = {
  duration: 130,
  turns: [turn("A", 0, 50), turn("B", 45, 70), turn("A", 100, 125), turn("A", 120, 130), turn("C", 5, 6)],
  segments: [
    { speaker: "A", words: Array(60) },
    { speaker: "B", words: Array(50) },
    { speaker: "UNKNOWN", words: Array(3) },
  ],
};

test("each person's time, share, turns, words, pace, overlap, interruptions and longest monologue", () => {
  const [a, b, c, unknown] = numbers(doc).people;
  assert.deepEqual(a, {
    speaker: "A", seconds: 80, share: 0.7547, turns: 2, words: 60, words_per_minute: 45,
    overlapped_seconds: 6, interruptions: 0, longest_monologue: 39,
  });
  assert.deepEqual([b.share, b.overlapped_seconds, b.interruptions, b.words_per_minute], [0.2358, 5, 1, 120]);
  assert.equal(b.longest_monologue, 20);
  assert.deepEqual([c.seconds, c.interruptions, c.words, c.words_per_minute], [1, 1, 0, 0]);
  assert.deepEqual([unknown.seconds, unknown.words, unknown.words_per_minute, unknown.longest_monologue], [0, 3, null, 0]);
});

test("minutes end with the recording and add up to each person's time", () => {
  const { people, minutes } = numbers(doc);
  assert.deepEqual(minutes.map(({ start, end }) => [start, end]), [[0, 60], [60, 120], [120, 130]]);
  for (const { speaker, seconds } of people) {
    assert.equal(minutes.reduce((sum, minute) => sum + minute.seconds[speaker], 0), seconds);
  }
});

test("short pauses and short answers do not end a monologue", () => {
  const turns = [turn("A", 0, 10), turn("A", 12, 20), turn("A", 22.5, 30), turn("B", 11, 11.9), turn("B", 40, 41)];
  assert.deepEqual(numbers({ duration: 60, turns, segments: [] }).people.map((p) => p.longest_monologue), [20, 1]);
});

test("a recording of days has no more stretches than one of a day", () => {
  const { minutes } = numbers({ duration: 1e9, turns: [turn("A", 0, 1e9)], segments: [] });
  assert.ok(minutes.length <= 1440);
  assert.equal(minutes.at(-1).end, 1e9);
});

test("an empty meeting has no people", () => {
  assert.deepEqual(numbers({ duration: 0, turns: [], segments: [] }), { people: [], minutes: [] });
});
