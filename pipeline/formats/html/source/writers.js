// Writers of the formats that the page saves by itself: JSON, plain text and Markdown, byte by byte as Python writes them.

import { joinWords } from "./corrections.js";
import { byPerson } from "./persons.js";
import { clock, endsSentence, milliseconds, namesOf, oneLine, wrapped } from "./texts.js";
import { during, shared, support } from "./timeline.js";

export { toSrt, toVtt } from "./subtitles.js";

/** The JSON keys of a segment's words, which stand last in its row. */
const WORDS = "words";

/** Numbers that Python writes as floats, by their keys. */
const FLOATS = new Set(["start", "end", "duration", "score", "margin"]);

/** The control characters that stand in no JSON of ours as themselves: a terminal would obey them. */
const CONTROLS = /[\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]/g;

/** The document in meetsplit's own JSON, one segment, word or turn per line; every key that it has is kept. */
export function toJson(doc) {
  const words = doc.segments.flatMap((segment) => segment.words);
  const { turns, made_by: madeBy, word_segments: before, ...rest } = { ...doc, language: languageOf(doc) };
  const { schema, recording, duration, language, speakers, segments, ...others } = rest;
  const parts = [
    ...Object.entries({ schema, recording, duration, language, speakers }).map(([key, value]) => [key, row(value, key)]),
    ["segments", rows(segments.map(segmentRow))],
    ["turns", rows(turns.map((turn) => row(turn)))],
    ["word_segments", rows(words.map((word) => row(word)))],
    ["made_by", row(madeBy)],
    ...Object.entries(others).map(([key, value]) => [key, row(value)]),
  ];
  const text = `{\n${parts.map(([key, value]) => `  ${JSON.stringify(key)}: ${value}`).join(",\n")}\n}\n`;
  return text.replace(CONTROLS, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function segmentRow(segment) {
  const { [WORDS]: words, ...fields } = segment;
  return `${row(fields).slice(0, -1)}, "words": [${words.map((word) => row(word)).join(", ")}]}`;
}

function rows(items) {
  return items.length > 0 ? `[\n    ${items.join(",\n    ")}\n  ]` : "[]";
}

/** A value on one line as Python's json writes it; `key` is the key under which it stands. */
function row(value, key = "") {
  if (typeof value === "number") return FLOATS.has(key) ? float(value) : String(value);
  if (Array.isArray(value)) return `[${value.map((item) => row(item)).join(", ")}]`;
  if (value !== null && typeof value === "object") {
    return `{${Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${row(item, name)}`).join(", ")}}`;
  }
  return JSON.stringify(value ?? null);
}

/** A float as Python writes it: 3.0, 1e-05. */
function float(value) {
  if (Number.isInteger(value) && Math.abs(value) < 1e16) return `${Object.is(value, -0) ? "-0" : value}.0`;
  const size = Math.abs(value);
  const text = size < 1e-4 || size >= 1e16 ? value.toExponential() : String(value);
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}

/** The language of most words; null where no segment has one. */
function languageOf(doc) {
  const counts = new Map();
  for (const { language, words } of doc.segments) {
    if (language !== null) counts.set(language, (counts.get(language) ?? 0) + words.length);
  }
  return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))[0]?.[0] ?? null;
}

// Plain text and Markdown, as Python writes them

const PARAGRAPH_PAUSE = 2.0;
const LONG_PARAGRAPH = 60.0;
const OVERLAP = "//";
const TOUCH = 100;
const TEXT_WIDTH = 80;

/** A paragraph per turn, `[hh:mm:ss] Name: …`, words that others talk over between `//`. */
export function toTxt(document) {
  const doc = byPerson(document);
  const names = namesOf(doc);
  const texts = paragraphs(doc).map(({ speaker, start, tokens }) =>
    wrapped([`[${clock(milliseconds(start))}] ${names.get(speaker)}:`, ...tokens], TEXT_WIDTH),
  );
  return texts.map((text) => `${text}\n`).join("\n");
}

/** Markdown: a heading where the person changes, and a time before each paragraph. */
export function toMarkdown(document) {
  const doc = byPerson(document);
  const names = namesOf(doc);
  const all = paragraphs(doc);
  if (all.length === 0) return "";
  const blocks = [`# ${escaped(oneLine(doc.recording)) || "Transcript"}`];
  if (all.some(({ isOverlapped }) => isOverlapped)) blocks.push(`*Words between ${OVERLAP} are said while another person speaks.*`);
  all.forEach(({ speaker, start, tokens }, number) => {
    if (speaker !== all[number - 1]?.speaker) blocks.push(`## ${escaped(names.get(speaker))}`);
    blocks.push(`**[${clock(milliseconds(start))}]** ${escaped(joinWords(tokens))}`);
  });
  return `${blocks.join("\n\n")}\n`;
}

/** The text without what Markdown would take for more than text. */
function escaped(text) {
  return text.replace(/[\\`*_[\]{}<>#|~&!$^]/g, "\\$&");
}

/** What one person says in a row: {speaker, start, tokens, isOverlapped}; tokens are words, those that overlap in marks. */
function paragraphs(doc) {
  const covered = overlaps(doc);
  return groups(doc.segments).flatMap((segments) => {
    const words = segments.flatMap((segment) => segment.words).filter((word) => oneLine(word.word) !== "");
    if (words.length === 0) return [];
    const flags = words.map(covered);
    const tokens = words.map((word, number) => {
      const opening = flags[number] && !flags[number - 1] ? OVERLAP : "";
      const closing = flags[number] && !flags[number + 1] ? OVERLAP : "";
      return `${opening}${oneLine(word.word)}${closing}`;
    });
    return [{ speaker: segments[0].speaker, start: segments[0].start, tokens, isOverlapped: flags.includes(true) }];
  });
}

/** A function that says whether so much of a word shares time with other people's words that it is to be marked. */
function overlaps(doc) {
  const own = new Map();
  for (const { speaker, words } of doc.segments) {
    if (!own.has(speaker)) own.set(speaker, []);
    own.get(speaker).push(...words);
  }
  const together = shared([...own.values()].map((words) => support(words)));
  return ({ start, end }) => {
    let common = 0;
    for (const span of during(together, start, end)) common += Math.min(span.end, end) - Math.max(span.start, start);
    return milliseconds(common) > Math.min(TOUCH, Math.floor(milliseconds(end - start) / 2));
  };
}

/** Consecutive segments of one person, cut at pauses, and with a sentence's end after a minute. */
function groups(segments) {
  const found = [];
  for (const segment of segments) {
    const last = found.at(-1);
    if (last === undefined || beginsParagraph(segment, last)) found.push([segment]);
    else last.push(segment);
  }
  return found;
}

function beginsParagraph(segment, paragraph) {
  const before = paragraph.at(-1);
  if (segment.speaker !== before.speaker || segment.start - before.end >= PARAGRAPH_PAUSE) return true;
  return segment.start - paragraph[0].start >= LONG_PARAGRAPH && endsSentence(before.text);
}
