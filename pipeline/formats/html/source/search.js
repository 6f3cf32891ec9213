// Search in a transcript: phrases across words, whatever the case, the accents and the kind of apostrophe.

import { firstIndex } from "./timeline.js";

const UNSPACED = [["\u3040", "\u30ff"], ["\u3400", "\u9fff"], ["\uff00", "\uffef"], ["\u0e00", "\u0e7f"]];

/** What stands between two words of running text: a blank, except in scripts that are written without. */
export function glue(before, after) {
  if (!(before.charCodeAt(before.length - 1) >= 0x0e00)) return " "; // the usual case, and the quick one
  return unspaced(before.at(-1)) && unspaced(after[0]) ? "" : " ";
}

function unspaced(letter) {
  return letter !== undefined && UNSPACED.some(([first, last]) => first <= letter && letter <= last);
}

/** Words as running text. */
export function runningText(words) {
  let text = words[0]?.word ?? "";
  for (let i = 1; i < words.length; i++) text += glue(words[i - 1].word, words[i].word) + words[i].word;
  return text;
}

/** A text as it is compared: small letters without accents, plain quotes, single blanks. */
export function normalised(text) {
  const plain = text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  return plain.replace(/[\u2018\u2019\u02bc]/g, "'").replace(/[\u201c\u201d]/g, '"').replace(/\s+/g, " ");
}

/** The searchable text of each segment, and where its words begin in it; made once for each segment. */
const texts = new WeakMap();

function searchable(segment) {
  let found = texts.get(segment);
  if (!found) {
    let text = "";
    const starts = [];
    segment.words.forEach(({ word }, i) => {
      if (i) text += glue(segment.words[i - 1].word, word);
      starts.push(text.length);
      text += normalised(word);
    });
    found = { text, starts };
    texts.set(segment, found);
  }
  return found;
}

/**
 * Where the query stands in the segments: the segment, and the first and last of the words that hold it.
 * @returns {{segment: number, first: number, last: number}[]}
 */
export function search(segments, query) {
  const wanted = normalised(query).trim();
  if (!wanted) return [];
  const places = [];
  segments.forEach((segment, index) => {
    const { text, starts } = searchable(segment);
    for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
      const first = firstIndex(starts, (start) => start > at) - 1;
      const last = firstIndex(starts, (start) => start > at + wanted.length - 1) - 1;
      places.push({ segment: index, first, last });
    }
  });
  return places;
}
