// The mix of a meeting's voices.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Mix, trackOwners } from "../source/mix.js";

const gains = (mix) => ["A", "B", "C"].map((speaker) => mix.gain(speaker));

test("everyone is heard at first, and the recording can stand for them", () => {
  const mix = new Mix(["A", "B", "C"]);
  assert.deepEqual(gains(mix), [1, 1, 1]);
  assert.ok(mix.untouched);
});

test("solo goes before mute, for several people too", () => {
  const mix = new Mix(["A", "B", "C"]);
  mix.change("A", { muted: true });
  assert.deepEqual(gains(mix), [0, 1, 1]);
  mix.change("A", { solo: true });
  assert.deepEqual(gains(mix), [1, 0, 0]);
  mix.change("C", { solo: true, volume: 0.4 });
  assert.deepEqual(gains(mix), [1, 0, 0.4]);
  assert.ok(!mix.untouched);
  mix.reset();
  assert.ok(mix.untouched);
});

test("a person without a track is not heard alone", () => {
  const mix = new Mix(["A"]);
  mix.change("UNKNOWN", { solo: true });
  assert.equal(mix.gain("UNKNOWN"), 0);
  assert.equal(mix.gain("A"), 1);
});

test("after a merge, a person is heard on both tracks", () => {
  const turn = (speaker, start) => ({ speaker, start, end: start + 2 });
  const made = { speakers: { A: null, B: null, C: null }, turns: [turn("A", 0), turn("B", 3), turn("C", 6), turn("B", 9)] };
  const merged = { speakers: { A: null, C: null }, turns: [turn("A", 0), turn("A", 3), turn("C", 6), turn("A", 9)] };
  const owners = trackOwners(["A", "B", "C"], made, merged);
  assert.deepEqual(owners, [["A", "A"], ["B", "A"], ["C", "C"]]);
  const mix = new Mix(["A", "B", "C"]);
  mix.change("B", { muted: true });
  mix.assign(owners);
  assert.ok(mix.untouched);
  mix.change("A", { solo: true });
  assert.deepEqual(["A", "B", "C"].map((track) => mix.trackGain(track)), [1, 1, 0]);
  mix.assign(trackOwners(["A", "B", "C"], made, made));
  assert.deepEqual(["A", "B", "C"].map((track) => mix.trackGain(track)), [1, 0, 0]);
});

test("a track whose turns nobody has any more belongs to nobody", () => {
  const made = { speakers: { A: null }, turns: [{ speaker: "A", start: 0, end: 1 }] };
  assert.deepEqual(trackOwners(["A"], made, { speakers: {}, turns: [] }), [["A", null]]);
});
