// Documents for tests: made at random from a seed, so that a failure can be repeated.

import {
  addPerson, changeWord, changeWords, joinSegments, markChecked, mergePeople, moveSegment, moveWords, renamePerson, splitSegment,
} from "../source/corrections.js";

/** A generator of numbers from 0 to 1: mulberry32 (Tommy Ettinger, public domain). */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const TEXTS = ["good", "morning,", "everyone.", "“Yes!”", "naïve", "今日", "は", "a<b>", "&amp;", "-->", "{\\an8}", "x\u0085y", "\u202eevil"];
const REASONS = ["overlap-unresolved", "low-speaker-margin", "possible-leak", "dropped-pace"];

/** A document of a meeting of up to five people, with overlaps, places to review, and words outside of any turn. */
export function randomDocument(next, { segments = 12 } = {}) {
  const pick = (items) => items[Math.floor(next() * items.length)];
  const people = Array.from({ length: 2 + Math.floor(next() * 4) }, (_, number) => `SPEAKER_0${number}`);
  const speakers = Object.fromEntries(people.map((label) => [label, pick([null, "Ann", "Ben", "<script>"])]));
  const doc = {
    schema: "meetsplit/1", recording: "meeting", duration: 1, language: "en", speakers, segments: [], turns: [],
    made_by: { version: "1.0", stages: [], settings: { num_speakers: 2 }, packages: {} },
  };
  let time = next();
  for (let number = 0; number < segments; number++) {
    const speaker = pick(people);
    const words = [];
    let at = time;
    for (let count = 1 + Math.floor(next() * 6); count > 0; count--) {
      const end = at + pick([0, 0.05, 0.3, next()]);
      words.push({ word: pick(TEXTS), start: at, end, score: pick([null, next()]), speaker });
      at = end + pick([0, 0.02, 0.5]);
    }
    const end = Math.max(...words.map((word) => word.end));
    doc.segments.push({
      start: time, end, text: "", speaker, source: pick(["mixture", "separated"]), overlap: false, language: pick(["en", "de", null]),
      review: REASONS.filter(() => next() < 0.2), margin: pick([null, next()]), words,
    });
    if (next() < 0.9) doc.turns.push({ start: Math.max(0, time - pick([0, 0.1])), end: end + pick([0.001, 0.2]), speaker });
    time = pick([end, Math.max(time, end - 1), end + 2]) + (next() < 0.3 ? 0 : 0.001);
  }
  doc.segments.sort((a, b) => a.start - b.start || a.end - b.end || (a.speaker < b.speaker ? -1 : 1));
  doc.turns.sort((a, b) => a.start - b.start || a.end - b.end || (a.speaker < b.speaker ? -1 : 1));
  doc.duration = Math.max(...doc.segments.map((segment) => segment.end), ...doc.turns.map((turn) => turn.end)) + 1;
  for (const segment of doc.segments) {
    segment.text = joined(segment.words.map((word) => word.word));
    segment.overlap = doc.turns.some((turn) => turn.speaker !== segment.speaker && turn.start < segment.end && turn.end > segment.start);
  }
  return doc;
}

/** Joins words in a second way: the blanks between two letters of scripts without blanks are removed afterwards. */
export function joined(texts) {
  return texts.join("\0").replace(/([\u3040-\u30ff\u3400-\u9fff\uff00-\uffef\u0e00-\u0e7f])\0(?=[\u3040-\u30ff\u3400-\u9fff\uff00-\uffef\u0e00-\u0e7f])/g, "$1").replaceAll("\0", " ");
}

/** The time in which anybody has a turn: sorted, disjoint [start, end]. */
export function support(turns) {
  const spans = [];
  for (const { start, end } of [...turns].sort((a, b) => a.start - b.start || a.end - b.end)) {
    if (spans.length > 0 && start <= spans.at(-1)[1]) spans.at(-1)[1] = Math.max(spans.at(-1)[1], end);
    else if (start < end) spans.push([start, end]);
  }
  return spans;
}

/** An object and everything in it, frozen: what changes it throws. */
export function frozen(value) {
  if (value !== null && typeof value === "object" && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(frozen);
  }
  return value;
}

/** A correction at random that the document allows, or one that it refuses. */
export function randomCorrection(doc, next) {
  const number = (count) => Math.floor(next() * count);
  const index = number(doc.segments.length);
  const segment = doc.segments[index];
  const people = Object.keys(doc.speakers);
  const person = people[number(people.length)];
  const first = number(segment.words.length);
  const last = first + number(segment.words.length - first);
  return [
    () => renamePerson(doc, person, ["Ann", " Ben  Ο ", "", person][number(4)]),
    () => moveSegment(doc, index, person),
    () => moveWords(doc, index, first, last, person),
    () => changeWord(doc, index, first, ["", "one", "two words", "今日"][number(4)]),
    () => changeWords(doc, index, first, last, ["", "one two", segment.text, `${segment.text} and more`][number(4)]),
    () => splitSegment(doc, index, first),
    () => joinSegments(doc, index),
    () => mergePeople(doc, person, people[number(people.length)]),
    () => markChecked(doc, index, next() < 0.5),
    () => addPerson(doc).document,
  ][number(10)]();
}
