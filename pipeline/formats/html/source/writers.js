// Writers of the transcript's formats that the page saves by itself. JSON is written as Python writes it, plain text and
// Markdown too; subtitles follow simpler rules than `meetsplit export`, which knows widths, pauses and columns.

import { joinWords } from "./corrections.js";
import { glue } from "./search.js";
import { during, shared, support } from "./timeline.js";

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
export function toTxt(doc) {
  const names = namesOf(doc);
  const covered = overlaps(doc);
  const texts = [];
  for (const paragraph of paragraphs(doc.segments)) {
    const marked = tokens(paragraph, covered);
    const head = `[${clock(milliseconds(paragraph[0].start))}] ${names.get(paragraph[0].speaker)}:`;
    if (marked.length > 0) texts.push(`${wrapped([head, ...marked], TEXT_WIDTH)}\n`);
  }
  return texts.join("\n");
}

/** The words of a paragraph, those that overlap in marks. */
function tokens(paragraph, covered) {
  const words = paragraph.flatMap((segment) => segment.words).filter((word) => oneLine(word.word) !== "");
  const flags = words.map(covered);
  return words.map((word, number) => {
    const opening = flags[number] && !flags[number - 1] ? OVERLAP : "";
    const closing = flags[number] && !flags[number + 1] ? OVERLAP : "";
    return `${opening}${oneLine(word.word)}${closing}`;
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
function paragraphs(segments) {
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

/** The words on lines of `most` columns; a longer word stands alone on its line. */
function wrapped(words, most) {
  let text = words[0];
  let used = width(text);
  words.slice(1).forEach((word, number) => {
    const blank = glue(words[number], word);
    if (used + blank.length + width(word) > most) {
      text += `\n${word}`;
      used = width(word);
    } else {
      text += blank + word;
      used += blank.length + width(word);
    }
  });
  return text;
}

/** Markdown: a heading per person's turn to speak, with the time as a mark. */
export function toMarkdown(doc) {
  return `# ${doc.recording}\n`;
}

// Subtitles

const LONGEST_CUE = 7000;
const CUE_PAUSE = 600;
const SHORTEST_CUE = 1000;
const LEAST_CUE = 100;
const LINGER = 1000;
const GAP = 83;
const LINE = 42;
const LINES = 2;

/** The colours of people in WebVTT, as Python gives them (Okabe and Ito, 2008). */
const COLORS = ["#FFFFFF", "#F0E442", "#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#999999"];

/** SubRip: one cue at a time; people who speak at once share a cue, each on a line with a dash. */
export function toSrt(doc) {
  const names = namesOf(doc);
  const shown = inTurn(cuesOf(doc, names), milliseconds(doc.duration));
  return shown.map((cue, number) => {
    const speakers = [...new Set(cue.words.map((word) => word.speaker))];
    const lines = speakers.flatMap((speaker) => {
      const texts = cue.words.filter((word) => word.speaker === speaker).map((word) => word.text);
      return broken([`${speakers.length > 1 ? "- " : ""}${names.get(speaker)}:`, ...texts]);
    });
    return `${number + 1}\n${stamp(cue.start, ",")} --> ${stamp(cue.end, ",")}\n${lines.map(plain).join("\n")}\n`;
  }).join("\n");
}

/** WebVTT: a voice and a colour per person; reasons to listen again are notes. */
export function toVtt(doc) {
  const names = namesOf(doc);
  const cues = cuesOf(doc, names);
  const next = new Map();
  const blocks = [];
  for (const cue of cues.reverse()) {
    const [{ speaker }] = cue.words;
    const end = lingered(cue, next.get(speaker) ?? milliseconds(doc.duration) + GAP);
    next.set(speaker, cue.start);
    const text = broken([`${names.get(speaker)}:`, ...cue.words.map((word) => word.text)]).map(markup).join("\n");
    const voice = markup(names.get(speaker));
    blocks.unshift([cue.start, 1, `${stamp(cue.start)} --> ${stamp(end)}\n<v ${voice}>${text}\n`]);
  }
  for (const segment of doc.segments.filter(({ review }) => review.length > 0)) {
    const start = milliseconds(segment.start);
    const when = `${clock(start)}–${clock(milliseconds(segment.end) + 999)}`;
    const note = oneLine(`NOTE check ${when} ${segment.speaker} ${segment.review.join(", ")}`);
    blocks.push([start, 0, `${note.replace(/-{2,}>/g, "->")}\n`]);
  }
  blocks.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const voices = [...new Set(names.values())];
  const rules = voices.map((name, number) => `::cue(v[voice=${css(name)}]) { color: ${COLORS[number % COLORS.length]} }\n`);
  const style = voices.length > 1 ? [`STYLE\n${rules.join("")}`] : [];
  return ["WEBVTT\n", ...style, ...blocks.map(([, , text]) => text)].join("\n");
}

/** Cues of one person each, sorted by start: words of a segment that fit into two lines and seven seconds. */
function cuesOf(doc, names) {
  const cues = [];
  for (const segment of doc.segments) {
    const most = LINE * LINES - width(`${names.get(segment.speaker)}: `);
    let words = [];
    let columns = 0;
    const finish = () => {
      if (words.length > 0) cues.push({ start: words[0].start, end: Math.max(...words.map((word) => word.end)), words });
      words = [];
      columns = 0;
    };
    for (const word of segment.words) {
      const text = oneLine(word.word);
      if (text === "") continue;
      const [start, end] = [milliseconds(word.start), milliseconds(word.end)];
      const last = words.at(-1);
      if (last !== undefined) {
        const isFull = columns + 1 + width(text) > most || end - words[0].start > LONGEST_CUE;
        const isSentence = endsSentence(last.text) && columns > most / 3;
        if (isFull || isSentence || start - last.end > CUE_PAUSE) finish();
      }
      words.push({ start, end, text, speaker: segment.speaker });
      columns += (columns > 0 ? 1 : 0) + width(text);
    }
    finish();
  }
  return cues.sort((a, b) => a.start - b.start || a.end - b.end);
}

/** The cues one after another: of two that overlap the earlier ends sooner, or both become one where it would flash by. */
function inTurn(cues, duration) {
  const shown = [];
  for (const cue of cues) {
    const last = shown.at(-1);
    const since = last === undefined ? Infinity : cue.start - last.start;
    if (since < LEAST_CUE || (cue.start < last?.end && since < SHORTEST_CUE + GAP)) {
      last.words = [...last.words, ...cue.words];
      last.end = Math.max(last.end, cue.end);
    } else if (last !== undefined && cue.start < last.end) {
      const late = last.words.filter((word) => word.start >= cue.start); // they are said during the next cue
      last.words = last.words.filter((word) => word.start < cue.start);
      shown.push({ start: cue.start, end: Math.max(cue.end, ...late.map((word) => word.end)), words: [...cue.words, ...late] });
      last.end = cue.start;
    } else {
      shown.push({ ...cue });
    }
  }
  shown.forEach((cue, number) => {
    cue.end = lingered(cue, shown[number + 1]?.start ?? duration + GAP);
  });
  return shown;
}

/** The end of a cue that stays until it can be read, but not into the `next` one. */
function lingered(cue, next) {
  const wanted = Math.min(Math.max(cue.end, cue.start + SHORTEST_CUE), cue.end + LINGER);
  return Math.max(Math.min(wanted, next - GAP), Math.min(cue.end, next), cue.start + 1);
}

/** The words on lines of even length: as few as their room allows. */
function broken(words) {
  const columns = width(joinWords(words));
  const count = Math.max(1, Math.ceil(columns / LINE));
  const text = wrapped(words, Math.max(Math.ceil(columns / count) + 3, ...words.map(width)));
  return (text.split("\n").length > count ? wrapped(words, LINE) : text).split("\n");
}

/** The text with other letters for what players take for an arrow, a tag or an ASS command: SRT has no escapes. */
function plain(text) {
  return text.replace(/-{2,}>/g, "->").replaceAll("{\\", "(\\").replace(/<(\/?[A-Za-z][^<>]*)>/g, "‹$1›");
}

/** The text as WebVTT escapes it. */
function markup(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** The text as a CSS string without the arrow that would end the style block. */
function css(text) {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll(">", "\\3e ")}"`;
}

// Texts and times

/** Each person's name on one line, the label where there is none; for everybody with a turn or a segment. */
function namesOf(doc) {
  const labels = new Set([...doc.turns, ...doc.segments].map(({ speaker }) => speaker));
  return new Map([...labels].sort().map((label) => [label, oneLine(doc.speakers[label] ?? label) || oneLine(label) || "?"]));
}

/** What Python takes for blanks. */
const BLANKS = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g;

/** The text without line breaks, tabs, doubled blanks and control characters. */
function oneLine(text) {
  return text.replace(BLANKS, " ").replace(/\p{Cc}/gu, "").replace(/ +/g, " ").replace(/^ | $/g, "");
}

const SENTENCE_ENDS = new Set(".!?…。！？؟۔।");

function endsSentence(text) {
  return SENTENCE_ENDS.has([...text.replace(/["'”’»)\]」』]+$/u, "")].at(-1));
}

const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

/** Columns on a screen: wide letters take two, combining and invisible ones none. */
function width(text) {
  let columns = 0;
  for (const letter of text) columns += /[\p{Mn}\p{Me}\p{Cf}]/u.test(letter) ? 0 : WIDE.test(letter) ? 2 : 1;
  return columns;
}

/** Seconds as whole milliseconds, halves to even, as Python rounds. */
function milliseconds(seconds) {
  const exact = seconds * 1000;
  const below = Math.floor(exact);
  if (exact - below !== 0.5) return Math.round(exact);
  return below % 2 === 0 ? below : below + 1;
}

/** Milliseconds as a clock time with `mark` before the thousandths. */
function stamp(at, mark = ".") {
  return `${clock(at)}${mark}${String(at % 1000).padStart(3, "0")}`;
}

/** Milliseconds as hh:mm:ss, rounded down. */
function clock(at) {
  const seconds = Math.floor(at / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}
