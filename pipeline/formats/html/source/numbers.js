// Numbers of a meeting: how long, how often and how fast each person speaks, computed as `meetsplit stats` does:
// docs/formats.md defines them, and a test compares both.

import { byPerson } from "./persons.js";
import { during, firstIndex, shared, support, total } from "./timeline.js";

/** Seconds of silence that do not end a monologue. */
const PAUSE = 2;

/** Seconds that another person's speech has to last to end a monologue: a shorter one is a "mm-hm". */
const BACKCHANNEL = 1;

/** Seconds over which talk time is counted, and how many such stretches a recording has at most. */
const MINUTE = 60;
const MOST_STRETCHES = 1440;

/**
 * @typedef {object} PersonNumbers
 * @property {string} speaker
 * @property {number} seconds how long the person speaks
 * @property {number} share 0 to 1, the part of all people's seconds
 * @property {number} turns stretches of speech
 * @property {number} words
 * @property {number | null} words_per_minute over the person's own seconds; null where there are none
 * @property {number} overlapped_seconds how much of it another person speaks too
 * @property {number} interruptions turns that begin while another person is already speaking
 * @property {number} longest_monologue seconds in which the person speaks, with short pauses, and nobody else for long
 */

/**
 * The numbers of a document, from its turns and words; labels with one name are one person.
 * @returns {{people: PersonNumbers[], minutes: {start: number, end: number, seconds: Record<string, number>}[]}}
 */
export function numbers(document) {
  const doc = byPerson(document);
  const speech = speechBySpeaker(doc);
  const words = new Map();
  for (const { speaker, words: said } of doc.segments) words.set(speaker, (words.get(speaker) ?? 0) + said.length);
  const spans = [...speech.values()].flat();
  const starts = spans.map((span) => span.start).sort(ascending);
  const ends = spans.map((span) => span.end).sort(ascending);
  const together = shared([...speech.values()]);
  const everyone = [...speech.values()].reduce((sum, own) => sum + total(own), 0);
  const people = [...speech].map(([speaker, own]) => {
    const seconds = total(own);
    const said = words.get(speaker) ?? 0;
    return {
      speaker,
      seconds: rounded(seconds, 3),
      share: everyone ? rounded(seconds / everyone, 4) : 0,
      turns: own.length,
      words: said,
      words_per_minute: seconds ? rounded((60 * said) / seconds, 1) : null,
      overlapped_seconds: rounded(own.reduce((sum, span) => sum + covered(together, span.start, span.end), 0), 3),
      // Begun before and not over yet is another person's turn: a person's own stretches lie apart.
      interruptions: own.filter((span) => begunBefore(starts, span.start) > overBy(ends, span.start)).length,
      longest_monologue: rounded(longestMonologue(speaker, speech), 3),
    };
  });
  return { people, minutes: minutes(doc.duration, speech) };
}

/** Each person's speech as sorted, disjoint spans: everyone with a turn or words, in the order of the labels. */
export function speechBySpeaker(doc) {
  const turns = new Map();
  for (const turn of doc.turns) {
    if (!turns.has(turn.speaker)) turns.set(turn.speaker, []);
    turns.get(turn.speaker).push(turn);
  }
  const speakers = new Set([...turns.keys(), ...doc.segments.map((segment) => segment.speaker)]);
  return new Map([...speakers].sort().map((speaker) => [speaker, support(turns.get(speaker) ?? [])]));
}

/** The longest stretch of a person's speech, pauses filled, in which nobody else speaks for `BACKCHANNEL` or longer. */
function longestMonologue(speaker, speech) {
  const long = (span) => span.end - span.start >= BACKCHANNEL;
  const others = support([...speech].flatMap(([other, own]) => (other === speaker ? [] : own.filter(long))));
  let longest = 0;
  for (const { start, end } of withPausesFilled(speech.get(speaker))) {
    let from = start;
    for (const other of during(others, start, end)) {
      longest = Math.max(longest, other.start - from);
      from = other.end;
    }
    longest = Math.max(longest, end - from);
  }
  return longest;
}

function withPausesFilled(spans) {
  const joined = [];
  for (const { start, end } of spans) {
    const last = joined.at(-1);
    if (last && start - last.end <= PAUSE) last.end = end;
    else joined.push({ start, end });
  }
  return joined;
}

/** Who speaks how long in each minute; in a recording of more than a day, in each of 1440 stretches of whole minutes. */
function minutes(duration, speech) {
  const last = Math.max(duration, ...[...speech.values()].map((own) => own.at(-1)?.end ?? 0));
  const length = MINUTE * Math.max(Math.ceil(last / MINUTE / MOST_STRETCHES), 1);
  const rows = [];
  for (let start = 0; start < last; start += length) {
    const end = Math.min(start + length, last);
    const seconds = Object.fromEntries([...speech].map(([speaker, own]) => [speaker, rounded(covered(own, start, end), 3)]));
    rows.push({ start, end, seconds });
  }
  return rows;
}

/** Seconds that sorted, disjoint spans cover between two times. */
function covered(spans, start, end) {
  const parts = during(spans, start, end);
  return parts.reduce((sum, span) => sum + Math.min(span.end, end) - Math.max(span.start, start), 0);
}

function begunBefore(starts, time) {
  return firstIndex(starts, (start) => start >= time);
}

function overBy(ends, time) {
  return firstIndex(ends, (end) => end > time);
}

function ascending(a, b) {
  return a - b;
}

/** The number with so many decimals, as Python rounds it: of the exact value, a tie to the even digit. */
function rounded(value, decimals) {
  const unit = 10 ** decimals;
  const scaled = value * unit;
  const tie = Math.abs(scaled % 1) === 0.5 && scaled / unit === value;
  return tie ? (2 * Math.round(scaled / 2)) / unit : Number(value.toFixed(decimals));
}
