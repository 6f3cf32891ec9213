import assert from "node:assert/strict";
import { test } from "node:test";

import {
  CorrectionError, addPerson, changeWord, changeWords, isChecked, joinSegments, joinWords, markChecked, mergePeople, moveSegment, moveWords,
  nextOfSamePerson, renamePerson, splitSegment, suggestedName,
} from "../source/corrections.js";
import { History } from "../source/history.js";
import { frozen, joined, random, randomCorrection, randomDocument, support } from "./documents.js";

function checkDocument(doc, original) {
  let before = { start: -1, end: -1 };
  for (const segment of doc.segments) {
    assert.ok(segment.words.length > 0);
    assert.ok(Object.hasOwn(doc.speakers, segment.speaker));
    assert.equal(segment.start, segment.words[0].start);
    assert.equal(segment.end, Math.max(...segment.words.map((word) => word.end)));
    assert.equal(segment.text, joined(segment.words.map((word) => word.word)));
    assert.ok(segment.words.every((word) => word.speaker === segment.speaker && word.start <= word.end && word.word.trim() !== ""));
    assert.ok(before.start < segment.start || (before.start === segment.start && before.end <= segment.end));
    const others = doc.turns.filter((turn) => turn.speaker !== segment.speaker);
    assert.equal(segment.overlap, others.some((turn) => turn.start < segment.end && turn.end > segment.start));
    before = segment;
  }
  assert.ok(doc.turns.every((turn) => turn.start < turn.end && Object.hasOwn(doc.speakers, turn.speaker)));
  assert.deepEqual(support(doc.turns), support(original.turns));
  assert.deepEqual(
    [doc.schema, doc.recording, doc.duration, doc.made_by], [original.schema, original.recording, original.duration, original.made_by],
  );
}

test("any corrections keep a document sound, and undone and done again give the same documents", () => {
  for (let seed = 0; seed < 60; seed++) {
    const next = random(seed);
    const history = new History(frozen(randomDocument(next)));
    const { original } = history;
    const states = [original];
    const told = [];
    history.onChange(({ document }) => told.push(document));
    for (let step = 0; step < 25 && history.document.segments.length > 0; step++) {
      try {
        history.apply(`step ${step}`, frozen(randomCorrection(history.document, next)));
      } catch (error) {
        assert.ok(error instanceof CorrectionError, `seed ${seed}: ${error.stack}`);
        continue;
      }
      if (history.document !== states.at(-1)) states.push(history.document);
      checkDocument(history.document, original);
    }
    const copies = structuredClone(states);
    for (const state of states.slice(0, -1).reverse()) {
      history.undo();
      assert.equal(history.document, state);
    }
    assert.equal(history.undo(), null);
    assert.deepEqual(history.document, copies[0]);
    for (const state of states.slice(1)) {
      assert.match(history.redo(), /^step/);
      assert.equal(history.document, state);
    }
    assert.equal(history.redo(), null);
    assert.deepEqual(states, copies);
    assert.equal(told.length, 3 * (states.length - 1));
  }
});

test("a correction after an undo takes the place of what was undone", () => {
  const history = new History({ number: 0 });
  history.apply("one", { number: 1 });
  history.apply("two", { number: 2 });
  assert.deepEqual([history.undo(), history.undoes, history.redoes], ["two", "one", "two"]);
  history.apply("three", { number: 3 });
  history.apply("nothing", history.document);
  assert.deepEqual([history.canRedo, history.undoes, history.document.number], [false, "three", 3]);
});

const word = (text, start, end, speaker = "SPEAKER_00") => ({ word: text, start, end, score: 0.5, speaker });
function segment(words, more = {}) {
  return {
    start: words[0].start, end: words.at(-1).end, text: words.map(({ word: text }) => text).join(" "), speaker: words[0].speaker,
    source: "mixture", overlap: false, language: "en", review: [], margin: null, words, ...more,
  };
}
const meeting = frozen({
  schema: "meetsplit/1", recording: "meeting", duration: 20, language: "en", speakers: { SPEAKER_00: "Ann", SPEAKER_01: null },
  segments: [
    segment([word("good", 1, 1.5), word("morning", 2, 2.5), word("yes", 4, 4.5), word("thanks", 5, 6)], { margin: 0.3, review: ["three-voices"] }),
    segment([word("hello", 8, 9, "SPEAKER_01")]),
    segment([word("so", 10, 11)]),
  ],
  turns: [{ start: 0.5, end: 6.5, speaker: "SPEAKER_00" }, { start: 8, end: 9, speaker: "SPEAKER_01" }, { start: 10, end: 11, speaker: "SPEAKER_00" }],
  made_by: {},
});
const said = (doc) => doc.segments.map(({ speaker, text }) => `${speaker.slice(-1)} ${text}`);
const spoken = (doc) => doc.turns.map(({ speaker, start, end }) => [speaker.slice(-1), start, end]);

test("moved words take their part of the turn along, and the rest is shared", () => {
  const moved = moveWords(meeting, 0, 2, 2, "SPEAKER_01");
  assert.deepEqual(said(moved), ["0 good morning", "1 yes", "0 thanks", "1 hello", "0 so"]);
  assert.deepEqual(spoken(moved), [["0", 0.5, 4], ["1", 4, 4.5], ["0", 4.5, 6.5], ["1", 8, 9], ["0", 10, 11]]);
  assert.deepEqual(moved.segments[1].words, [word("yes", 4, 4.5, "SPEAKER_01")]);
  assert.deepEqual(moved.segments.map(({ margin }) => margin), [0.3, null, 0.3, null, null]);
  assert.equal(moved.segments[3], meeting.segments[1]);
  assert.deepEqual(said(moveSegment(meeting, 0, "SPEAKER_01")), ["1 good morning yes thanks", "1 hello", "0 so"]);
  assert.deepEqual(spoken(moveSegment(meeting, 0, "SPEAKER_01")), [["1", 0.5, 6.5], ["1", 8, 9], ["0", 10, 11]]);
  assert.equal(moveSegment(meeting, 0, "SPEAKER_00"), meeting);
});

test("words that are given back join their turn again", () => {
  const moved = moveWords(meeting, 0, 0, 1, "SPEAKER_01");
  assert.deepEqual(spoken(moved)[0], ["1", 0.5, 2.5]);
  assert.deepEqual(spoken(moveSegment(moved, 0, "SPEAKER_00")), spoken(meeting));
});

test("overlap follows the turns, of others as well", () => {
  const doc = structuredClone(meeting);
  doc.segments[1] = segment([word("hm", 1.6, 1.9, "SPEAKER_01")], { overlap: true });
  doc.segments[0].overlap = true;
  doc.turns[1] = { start: 1.6, end: 1.9, speaker: "SPEAKER_01" };
  assert.deepEqual(moveSegment(doc, 1, "SPEAKER_00").segments.map(({ overlap }) => overlap), [false, false, false]);
  const hand = structuredClone(doc); // a flag that does not follow from turns stays, where its segment is not corrected
  hand.segments[2].overlap = true;
  assert.deepEqual(moveSegment(hand, 1, "SPEAKER_00").segments.map(({ overlap }) => overlap), [false, false, true]);
});

test("a word becomes another one, several, or none", () => {
  assert.equal(changeWord(meeting, 0, 0, " good "), meeting);
  assert.deepEqual(changeWord(meeting, 0, 0, "Good").segments[0].words[0], { ...word("Good", 1, 1.5), score: null });
  const several = changeWord(meeting, 0, 0, "a very good").segments[0];
  assert.equal(several.text, "a very good morning yes thanks");
  assert.deepEqual(several.words.slice(0, 3).map(({ start, end }) => [start, end].map((at) => Math.round(at * 6))), [[6, 7], [7, 8], [8, 9]]);
  const removed = changeWord(meeting, 0, 0, "").segments[0];
  assert.deepEqual([removed.start, removed.text], [2, "morning yes thanks"]);
  assert.deepEqual(said(changeWord(meeting, 1, 0, " ")), ["0 good morning yes thanks", "0 so"]);
});

test("another text for several words keeps those that stay, with their times", () => {
  const texts = (doc) => doc.segments[0].words.map(({ word: text, start, end, score }) => [text, start, end, score]);
  assert.equal(changeWords(meeting, 0, 0, 3, " good morning\nyes thanks"), meeting);
  assert.deepEqual(texts(changeWords(meeting, 0, 0, 3, "Good morning yes, so many thanks")), [
    ["Good", 1, 1.5, null], ["morning", 2, 2.5, 0.5], ["yes,", 4, 4 + 0.5 / 3, null], ["so", 4 + 0.5 / 3, 4 + 1 / 3, null],
    ["many", 4 + 1 / 3, 4.5, null], ["thanks", 5, 6, 0.5],
  ]);
  assert.deepEqual(texts(changeWords(meeting, 0, 0, 3, "good morning dear yes")), [
    ["good", 1, 1.5, 0.5], ["morning", 2, 2.5, 0.5], ["dear", 2.5, 4, null], ["yes", 4, 4.5, 0.5],
  ]);
  assert.deepEqual(texts(changeWords(meeting, 0, 1, 2, "")), [["good", 1, 1.5, 0.5], ["thanks", 5, 6, 0.5]]);
  assert.deepEqual(texts(changeWords(meeting, 0, 2, 3, "oh yes thanks so")).slice(2), [
    ["oh", 2.5, 4, null], ["yes", 4, 4.5, 0.5], ["thanks", 5, 6, 0.5], ["so", 6, 6, null],
  ]);
  assert.deepEqual(said(changeWords(meeting, 1, 0, 0, "")), ["0 good morning yes thanks", "0 so"]);
});

test("segments are split and joined, across what others say between", () => {
  const split = splitSegment(meeting, 0, 2);
  assert.deepEqual(said(split), ["0 good morning", "0 yes thanks", "1 hello", "0 so"]);
  assert.deepEqual(joinSegments(split, 0), meeting);
  assert.equal(nextOfSamePerson(meeting, 0), 2);
  assert.deepEqual(said(joinSegments(meeting, 0)), ["0 good morning yes thanks so", "1 hello"]);
  assert.equal(joinSegments(meeting, 0).segments[0].overlap, true);
  assert.throws(() => splitSegment(meeting, 0, 0), CorrectionError);
  assert.throws(() => splitSegment(meeting, 0, 4), CorrectionError);
  assert.throws(() => joinSegments(meeting, 1), CorrectionError);
});

test("a checked segment remembers its reasons, also when it is split or joined", () => {
  const checked = markChecked(meeting, 0, true);
  assert.deepEqual([checked.segments[0].review, checked.segments[0].checked], [[], ["three-voices"]]);
  assert.deepEqual(markChecked(checked, 0, false), meeting);
  assert.equal(markChecked(checked, 0, true), checked);
  assert.deepEqual(markChecked(meeting, 1, true).segments[1].checked, []);
  assert.ok(splitSegment(checked, 0, 1).segments.slice(0, 2).every(isChecked));
  assert.deepEqual(joinSegments(checked, 0).segments[0].checked, ["three-voices"]);
  const open = structuredClone(checked);
  open.segments[2].review = ["possible-leak"]; // one part is to be checked still, and so is the whole
  const whole = joinSegments(open, 0).segments[0];
  assert.deepEqual([whole.review, isChecked(whole)], [["three-voices", "possible-leak"], false]);
});

test("two people become one, who has a name if either had one", () => {
  const merged = mergePeople(meeting, "SPEAKER_00", "SPEAKER_01");
  assert.deepEqual(merged.speakers, { SPEAKER_01: "Ann" });
  assert.ok(merged.segments.every(({ speaker, words }) => speaker === "SPEAKER_01" && words.every((one) => one.speaker === speaker)));
  assert.deepEqual(spoken(merged).map(([who]) => who), ["1", "1", "1"]);
  assert.throws(() => mergePeople(meeting, "SPEAKER_00", "SPEAKER_00"), CorrectionError);
  assert.throws(() => mergePeople(meeting, "SPEAKER_00", "SPEAKER_07"), CorrectionError);
});

test("a suggested name is one click away until the person has a name or is another person", () => {
  const voices = {
    SPEAKER_00: { decision: "confirmed", name: "Ann", score: 12, margin: 9 },
    SPEAKER_01: { decision: "suggested", name: "Ben", score: 5, margin: null },
    SPEAKER_02: { decision: "unknown", name: null, score: null, margin: null },
  };
  const doc = frozen({
    ...randomDocument(random(1)), speakers: { SPEAKER_00: "Ann", SPEAKER_01: null, SPEAKER_02: null }, segments: [], turns: [], voices,
  });
  const suggested = (of) => ["SPEAKER_00", "SPEAKER_01", "SPEAKER_02", "toString"].map((label) => suggestedName(of, label));
  assert.deepEqual(suggested(doc), [null, "Ben", null, null]);
  const history = new History(doc);
  history.apply("naming", renamePerson(doc, "SPEAKER_01", suggestedName(doc, "SPEAKER_01")));
  assert.equal(history.document.speakers.SPEAKER_01, "Ben");
  assert.deepEqual(suggested(history.document), [null, null, null, null]);
  history.undo();
  assert.deepEqual(suggested(history.document), [null, "Ben", null, null]);
  const merged = mergePeople(doc, "SPEAKER_02", "SPEAKER_01");
  assert.deepEqual(merged.voices, { SPEAKER_00: voices.SPEAKER_00 });
  assert.equal("voices" in mergePeople(merged, "SPEAKER_01", "SPEAKER_00"), false);
  assert.equal(suggestedName({ ...doc, voices: undefined }, "SPEAKER_01"), null);
});

test("names are one line, no label of others, and can be taken away", () => {
  assert.deepEqual(renamePerson(meeting, "SPEAKER_01", "  Ben\n O. ").speakers, { SPEAKER_00: "Ann", SPEAKER_01: "Ben O." });
  assert.equal(renamePerson(meeting, "SPEAKER_00", " ").speakers.SPEAKER_00, null);
  assert.equal(renamePerson(meeting, "SPEAKER_01", "SPEAKER_01"), meeting);
  assert.throws(() => renamePerson(meeting, "SPEAKER_01", "SPEAKER_00"), /label of another person/);
  assert.throws(() => renamePerson(meeting, "SPEAKER_05", "Eve"), CorrectionError);
  assert.throws(() => renamePerson(meeting, "toString", "Eve"), CorrectionError);
});

test("a new person has a label that no track has", () => {
  assert.equal(addPerson(meeting).speaker, "SPEAKER_02");
  assert.equal(addPerson(meeting, ["SPEAKER_09", "UNKNOWN"]).speaker, "SPEAKER_10");
  assert.deepEqual(addPerson(meeting).document.speakers, { SPEAKER_00: "Ann", SPEAKER_01: null, SPEAKER_02: null });
});

test("words are joined as Python joins them", () => {
  assert.equal(joinWords(["今日", "は", "ok", "です"]), "今日は ok です");
});
