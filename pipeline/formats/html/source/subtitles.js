// Subtitles of the page: SubRip and WebVTT, by simpler rules than those of `meetsplit export`, which knows the places of
// cues, evens out their times, and breaks lines at punctuation.

import { joinWords } from "./corrections.js";
import { byPerson } from "./persons.js";
import { clock, endsSentence, milliseconds, namesOf, oneLine, stamp, width, wrapped } from "./texts.js";

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
export function toSrt(document) {
  const doc = byPerson(document);
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
export function toVtt(document) {
  const doc = byPerson(document);
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
