// One line of text and one moment in time, as the written formats have them: the same as in Python.

import { glue } from "./search.js";

/** Each person's name on one line, the label where there is none; for everybody with a turn or a segment. */
export function namesOf(doc) {
  const labels = new Set([...doc.turns, ...doc.segments].map(({ speaker }) => speaker));
  return new Map([...labels].sort().map((label) => [label, oneLine(doc.speakers[label] ?? label) || oneLine(label) || "?"]));
}

/** What Python takes for blanks. */
const BLANKS = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g;

/** The text without line breaks, tabs, doubled blanks and control characters. */
export function oneLine(text) {
  return text.replace(BLANKS, " ").replace(/\p{Cc}/gu, "").replace(/ +/g, " ").replace(/^ | $/g, "");
}

const SENTENCE_ENDS = new Set(".!?…。！？؟۔।");

export function endsSentence(text) {
  return SENTENCE_ENDS.has([...text.replace(/["'”’»)\]」』]+$/u, "")].at(-1));
}

const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

/** Columns on a screen: wide letters take two, combining and invisible ones none. */
export function width(text) {
  let columns = 0;
  for (const letter of text) columns += /[\p{Mn}\p{Me}\p{Cf}]/u.test(letter) ? 0 : WIDE.test(letter) ? 2 : 1;
  return columns;
}

/** Seconds as whole milliseconds, halves to even, as Python rounds. */
export function milliseconds(seconds) {
  const exact = seconds * 1000;
  const below = Math.floor(exact);
  if (exact - below !== 0.5) return Math.round(exact);
  return below % 2 === 0 ? below : below + 1;
}

/** Milliseconds as a clock time with `mark` before the thousandths. */
export function stamp(at, mark = ".") {
  return `${clock(at)}${mark}${String(at % 1000).padStart(3, "0")}`;
}

/** Milliseconds as hh:mm:ss, rounded down. */
export function clock(at) {
  const seconds = Math.floor(at / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}

/** The words on lines of `most` columns; a longer word stands alone on its line. */
export function wrapped(words, most) {
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
