// Corrections of a transcript, as pure functions: each takes a document (the transcript's JSON, schema meetsplit/1) and
// returns another one, which shares with it whatever is unchanged. Words are never reordered within a segment, segments
// stay sorted by start, and the time in which anybody speaks (the union of all turns) stays what it was: by that,
// `meetsplit review` knows which recording a corrected transcript belongs to.

import { glue } from "./search.js";
import { firstIndex } from "./timeline.js";

/**
 * @typedef {{word: string, start: number, end: number, score: number | null, speaker: string}} Word
 * @typedef {{start: number, end: number, speaker: string}} Turn
 * @typedef {{start: number, end: number, text: string, speaker: string, source: string, overlap: boolean,
 *   language: string | null, review: string[], margin: number | null, checked?: string[], words: Word[]}} Segment
 * @typedef {{recording: string, duration: number, speakers: Record<string, string | null>, segments: Segment[],
 *   turns: Turn[], voices?: Record<string, {decision: string, name: string | null}>}} TranscriptDocument
 */

/** What stands between words: blanks, and control characters, which a transcript is not to hold. */
const BLANKS = /[\s\x00-\x20\x7f-\xa0\u2028\u2029]+/u;

/** A correction that cannot be made; its message is a sentence for people. */
export class CorrectionError extends Error {
  name = "CorrectionError";
}

/** The document with another name for a person; an empty name takes the name away. */
export function renamePerson(doc, speaker, name) {
  requireSpeaker(doc, speaker);
  const written = name.split(BLANKS).filter(Boolean).join(" ");
  const person = written === "" || written === speaker ? null : written;
  if (person !== null && Object.hasOwn(doc.speakers, person)) {
    throw new CorrectionError(`“${person}” is the label of another person: choose another name.`);
  }
  if (doc.speakers[speaker] === person) return doc;
  return { ...doc, speakers: { ...doc.speakers, [speaker]: person } };
}

/** The enrolled person whose voice somebody without a name may have, as a name; null where none is suggested. */
export function suggestedName(doc, speaker) {
  const match = Object.hasOwn(doc.voices ?? {}, speaker) ? doc.voices[speaker] : null;
  if (match?.decision !== "suggested" || doc.speakers[speaker] !== null) return null;
  return typeof match.name === "string" && match.name.trim() !== "" ? match.name : null;
}

/** A new person without words or a name: {document, speaker}. Labels among `taken` are not used. */
export function addPerson(doc, taken = []) {
  const numbers = [...Object.keys(doc.speakers), ...taken].map((label) => Number(/^SPEAKER_(\d+)$/.exec(label)?.[1] ?? -1));
  const speaker = `SPEAKER_${String(Math.max(-1, ...numbers) + 1).padStart(2, "0")}`;
  return { document: { ...doc, speakers: { ...doc.speakers, [speaker]: null } }, speaker };
}

/** The document with a segment given to another person, and the time in which it was said as well. */
export function moveSegment(doc, index, speaker) {
  return moveWords(doc, index, 0, segmentAt(doc, index).words.length - 1, speaker);
}

/** The document with the words `first` to `last` of a segment given to another person, as a segment of their own. */
export function moveWords(doc, index, first, last, speaker) {
  const segment = segmentAt(doc, index);
  requireSpeaker(doc, speaker);
  requireWord(segment, first);
  requireWord(segment, last);
  if (first > last) throw new CorrectionError("The first of the words comes after the last.");
  if (speaker === segment.speaker) return doc;
  const parts = [
    [segment.words.slice(0, first), segment.speaker],
    [segment.words.slice(first, last + 1), speaker],
    [segment.words.slice(last + 1), segment.speaker],
  ];
  const moved = new Set(parts[1][0]);
  const turns = withMovedTurns(doc, segment.speaker, speaker, moved);
  return withSegments({ ...doc, turns }, index, 1, parts.filter(([words]) => words.length > 0).map(
    ([words, who]) => segmentOf(segment, words, who),
  ), doc.turns);
}

/** The document with another text for a word: an empty one removes it, several words share its time evenly. */
export function changeWord(doc, index, wordIndex, text) {
  return changeWords(doc, index, wordIndex, wordIndex, text);
}

/**
 * The document with another text for the words `first` to `last` of a segment. Of several words those that stay keep their
 * times; what takes the place of others has their time, word by word where they are as many, else in even parts.
 */
export function changeWords(doc, index, first, last, text) {
  const segment = segmentAt(doc, index);
  requireWord(segment, first);
  requireWord(segment, last);
  const old = segment.words.slice(first, last + 1);
  const texts = text.split(BLANKS).filter(Boolean);
  if (texts.length === old.length && texts.every((one, number) => one === old[number].word)) return doc;
  const before = segment.words[first - 1];
  const after = segment.words[last + 1];
  const words = old.length === 1 ? inTheTimeOf(old, texts, before, after) : aligned(old, texts, before, after);
  const all = [...segment.words.slice(0, first), ...words, ...segment.words.slice(last + 1)];
  return withSegments(doc, index, 1, all.length > 0 ? [segmentOf(segment, all, segment.speaker)] : []);
}

/** The words of a new text: those of the longest common subsequence with the old ones stay as they are. */
function aligned(old, texts, before, after) {
  const lengths = Array.from({ length: old.length + 1 }, () => new Uint16Array(texts.length + 1));
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = texts.length - 1; j >= 0; j--) {
      lengths[i][j] = old[i].word === texts[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  const words = [];
  let run = { old: [], texts: [] };
  const finish = (next) => {
    words.push(...inTheTimeOf(run.old, run.texts, words.at(-1) ?? before, next));
    run = { old: [], texts: [] };
  };
  for (let i = 0, j = 0; i < old.length || j < texts.length; ) {
    if (i < old.length && j < texts.length && old[i].word === texts[j]) {
      finish(old[i]);
      words.push(old[i]);
      i += 1;
      j += 1;
    } else if (j >= texts.length || (i < old.length && lengths[i + 1][j] >= lengths[i][j + 1])) run.old.push(old[i++]);
    else run.texts.push(texts[j++]);
  }
  finish(after);
  return words;
}

/** Texts as words in the time of old ones; where there is none, between the words before and after. */
function inTheTimeOf(old, texts, before, after) {
  if (texts.length === 0) return [];
  // The score of a word was the transcriber's confidence in what stood there.
  if (old.length === texts.length) return old.map((word, number) => ({ ...word, word: texts[number], score: null }));
  const neighbour = before ?? after;
  const start = old.length > 0 ? old[0].start : before?.end ?? neighbour.start;
  const end = Math.max(start, old.length > 0 ? latest(old) : after?.start ?? start);
  const at = (number) => (number === texts.length ? end : start + (number * (end - start)) / texts.length);
  return texts.map((word, number) => ({
    ...(old[0] ?? neighbour), word, start: at(number), end: at(number + 1), score: null,
  }));
}

/** The document with a segment in two, the second of which begins with the word at `wordIndex`. */
export function splitSegment(doc, index, wordIndex) {
  const segment = segmentAt(doc, index);
  requireWord(segment, wordIndex);
  if (wordIndex === 0) throw new CorrectionError("A segment is split before a word inside it, not before its first.");
  return withSegments(doc, index, 1, [
    segmentOf(segment, segment.words.slice(0, wordIndex), segment.speaker),
    segmentOf(segment, segment.words.slice(wordIndex), segment.speaker),
  ]);
}

/** The index of the next segment of the same person, or -1. */
export function nextOfSamePerson(doc, index) {
  const { speaker } = segmentAt(doc, index);
  return doc.segments.findIndex((other, number) => number > index && other.speaker === speaker);
}

/** The document with a segment and the next one of the same person in one. */
export function joinSegments(doc, index) {
  const segment = segmentAt(doc, index);
  const follower = nextOfSamePerson(doc, index);
  if (follower < 0) throw new CorrectionError("No later segment of this person is there to be joined.");
  const next = doc.segments[follower];
  const words = [...segment.words, ...next.words];
  if (segment.words.at(-1).start > next.words[0].start) words.sort((a, b) => a.start - b.start || a.end - b.end);
  const margins = [segment.margin, next.margin].filter((margin) => margin !== null && margin !== undefined);
  const { checked, ...base } = segment;
  const joined = {
    ...base,
    source: segment.source === "separated" ? segment.source : next.source,
    margin: margins.length > 0 ? Math.min(...margins) : null,
    ...joinedReview(segment, next),
  };
  const without = { ...doc, segments: doc.segments.filter((_, number) => number !== follower) };
  return withSegments(without, index, 1, [segmentOf(joined, words, segment.speaker)]);
}

/** The document with one person where there were two: `from` becomes `into`. */
export function mergePeople(doc, from, into) {
  requireSpeaker(doc, from);
  requireSpeaker(doc, into);
  if (from === into) throw new CorrectionError("Choose two people: these are the same.");
  const { [from]: name, ...speakers } = doc.speakers;
  if (speakers[into] === null) speakers[into] = name;
  const own = doc.turns.filter((turn) => turn.speaker === from).map((turn) => ({ ...turn, speaker: into }));
  const turns = withJoinedTurns(doc.turns.filter((turn) => turn.speaker !== from), own, into);
  const segments = doc.segments.map((segment) =>
    segment.speaker === from ? segmentOf(segment, segment.words, into) : segment,
  );
  const changed = new Set(segments.filter((segment, number) => segment !== doc.segments[number]));
  const merged = { ...doc, speakers, turns, segments: segments.sort(byTime) };
  if (doc.voices) {
    // What the voices of two people said is not said of both together.
    const others = Object.entries(doc.voices).filter(([label]) => label !== from && label !== into);
    if (others.length > 0) merged.voices = Object.fromEntries(others);
    else delete merged.voices;
  }
  return withOverlaps(merged, doc.turns, changed);
}

/** Whether a person has checked a segment. */
export function isChecked(segment) {
  return Array.isArray(segment.checked);
}

/**
 * The document with a segment marked as checked, or as to be checked again.
 * The reasons to review a checked one are kept under its key `checked`, an optional one of the schema.
 */
export function markChecked(doc, index, checked) {
  const segment = segmentAt(doc, index);
  if (isChecked(segment) === checked) return doc;
  const { checked: reasons, ...rest } = segment;
  const marked = checked
    ? { ...rest, review: [], checked: [...segment.review] }
    : { ...rest, review: [...new Set([...segment.review, ...reasons])] };
  return { ...doc, segments: doc.segments.map((other, number) => (number === index ? marked : other)) };
}

/** Words as running text, with blanks between them except in scripts that are written without, as Python joins them. */
export function joinWords(texts) {
  return texts.reduce((text, word) => text + (text === "" ? "" : glue(text, word)) + word, "");
}

/** A segment with these words of a person, and otherwise like `base`; how sure its voice was is of the person before. */
function segmentOf(base, words, speaker) {
  return {
    ...base,
    start: words[0].start,
    end: latest(words),
    text: joinWords(words.map((word) => word.word)),
    speaker,
    margin: speaker === base.speaker ? base.margin : null,
    words: words.map((word) => (word.speaker === speaker ? word : { ...word, speaker })),
  };
}

function latest(words) {
  return words.reduce((end, word) => Math.max(end, word.end), words[0].end);
}

/** Reasons to review two joined segments: it is checked where both are, or where one is and the other needs no check. */
function joinedReview(a, b) {
  const reasons = (segment) => [...segment.review, ...(segment.checked ?? [])];
  const all = [...new Set([...reasons(a), ...reasons(b)])];
  const isFine = [a, b].every((segment) => isChecked(segment) || segment.review.length === 0);
  return isFine && (isChecked(a) || isChecked(b)) ? { review: [], checked: all } : { review: all };
}

/** The document with `count` segments at `index` replaced; `before` are the turns that it had, where they differ now. */
function withSegments(doc, index, count, segments, before = doc.turns) {
  const all = [...doc.segments.slice(0, index), ...segments, ...doc.segments.slice(index + count)];
  const old = doc.segments[index];
  const isMoved = (segment) => segment.start !== old.start || segment.end !== old.end || segment.speaker !== old.speaker;
  return withOverlaps({ ...doc, segments: all.sort(byTime) }, before, new Set(segments.filter(isMoved)));
}

function compare(a, b) {
  return a < b ? -1 : Number(a > b);
}

/**
 * The document with `overlap` of its segments as its turns say it now: of the `changed` segments, and of those for which
 * the turns before said something else.
 */
function withOverlaps(doc, before, changed) {
  const old = new Set(before);
  const now = new Set(doc.turns);
  const differing = [...before.filter((turn) => !now.has(turn)), ...doc.turns.filter((turn) => !old.has(turn))];
  const first = differing.reduce((time, turn) => Math.min(time, turn.start), Infinity);
  const last = differing.reduce((time, turn) => Math.max(time, turn.end), -Infinity);
  const isOverlapped = overlapsIn(doc.turns);
  const wasOverlapped = differing.length > 0 ? overlapsIn(before) : isOverlapped;
  const segments = doc.segments.map((segment) => {
    const isNear = segment.start < last && segment.end > first;
    if (!changed.has(segment) && !isNear) return segment;
    const overlap = isOverlapped(segment);
    if (!changed.has(segment) && overlap === wasOverlapped(segment)) return segment;
    return overlap === segment.overlap ? segment : { ...segment, overlap };
  });
  return { ...doc, segments };
}

/** A function that says whether another speaker has a turn during a segment; it takes logarithmic time. */
function overlapsIn(turns) {
  const everyone = counterOf(turns);
  const own = new Map();
  for (const turn of turns) {
    if (!own.has(turn.speaker)) own.set(turn.speaker, []);
    own.get(turn.speaker).push(turn);
  }
  const counters = new Map([...own].map(([speaker, list]) => [speaker, counterOf(list)]));
  return (segment) => everyone(segment) > (counters.get(segment.speaker)?.(segment) ?? 0);
}

/** A function that counts the turns that share time with a span. */
function counterOf(turns) {
  const counted = turns.filter((turn) => turn.start < turn.end);
  const starts = Float64Array.from(counted, (turn) => turn.start).sort();
  const ends = Float64Array.from(counted, (turn) => turn.end).sort();
  return ({ start, end }) =>
    Math.max(firstIndex(starts, (time) => time >= end) - firstIndex(ends, (time) => time > start), 0);
}

/**
 * The turns with those parts given to `to` in which `from` says the `moved` words.
 *
 *     from   |--kept--moved-moved---kept--|
 *     ->     |--------|           |-------|
 *     to              |-----------|
 */
function withMovedTurns(doc, from, to, moved) {
  const words = doc.segments.filter((segment) => segment.speaker === from).flatMap((segment) => segment.words);
  words.sort((a, b) => a.start - b.start || a.end - b.end);
  const times = [...moved];
  const first = Math.min(...times.map((word) => word.start));
  const last = latest(times);
  const rest = [];
  const pieces = [];
  for (const turn of doc.turns) {
    const isNear = turn.speaker === from && turn.start <= last && turn.end >= first;
    const inside = isNear ? words.filter((word) => isInside(word, turn)) : [];
    if (!inside.some((word) => moved.has(word))) {
      rest.push(turn);
      continue;
    }
    let start = turn.start;
    inside.forEach((word, number) => {
      const next = inside[number + 1];
      if (next !== undefined && moved.has(next) === moved.has(word)) return;
      // The moved words take with them what they cover, and the rest of the turn where no kept word follows.
      const edge = next === undefined ? turn.end : moved.has(word) ? word.end : next.start;
      const end = Math.min(Math.max(edge, start), turn.end);
      if (start < end) (moved.has(word) ? pieces : rest).push({ ...turn, start, end });
      start = end;
    });
  }
  return withJoinedTurns(rest, pieces.map((piece) => ({ ...piece, speaker: to })), to);
}

function isInside(word, turn) {
  const middle = (word.start + word.end) / 2;
  return turn.start <= middle && middle <= turn.end;
}

/** The turns with further `pieces` of one speaker, each in one with the speaker's turns that it overlaps or touches. */
function withJoinedTurns(turns, pieces, speaker) {
  const further = new Set(pieces);
  const own = [...turns.filter((turn) => turn.speaker === speaker), ...pieces].sort(byTime);
  const joined = [];
  let holdsPiece = false;
  for (const turn of own) {
    const last = joined.at(-1);
    if (last !== undefined && turn.start <= last.end && (holdsPiece || further.has(turn))) {
      joined[joined.length - 1] = { ...last, end: Math.max(last.end, turn.end) };
      holdsPiece = true;
    } else {
      joined.push(turn);
      holdsPiece = further.has(turn);
    }
  }
  return [...turns.filter((turn) => turn.speaker !== speaker), ...joined].sort(byTime);
}

/** The order of segments and turns: by start, then end, then speaker, as Python sorts them. */
function byTime(a, b) {
  return a.start - b.start || a.end - b.end || compare(a.speaker, b.speaker);
}

function segmentAt(doc, index) {
  const segment = doc.segments[index];
  if (segment === undefined) throw new CorrectionError("That segment is not there any more.");
  return segment;
}

function requireWord(segment, wordIndex) {
  const word = segment.words[wordIndex];
  if (word === undefined) throw new CorrectionError("That word is not there any more.");
  return word;
}

function requireSpeaker(doc, speaker) {
  if (!Object.hasOwn(doc.speakers, speaker)) throw new CorrectionError("That person is not there any more.");
}
