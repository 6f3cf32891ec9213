// The mix of a meeting's voices.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Mix } from "../source/mix.js";

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
