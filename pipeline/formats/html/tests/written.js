// Prints what the page writes, as JSON lines, for the tests in Python: of the documents in files, or of random ones.
//
//     node written.js FILE…        {json, txt, srt, vtt, md, numbers} of each file as it is
//     node written.js --random N   {json, txt, …, original, kept} of N documents after corrections at random; `original`
//                                  is the JSON before them, `kept` are pairs of the numbers of segments without correction

import { readFileSync } from "node:fs";

import { History } from "../source/history.js";
import { toJson, toMarkdown, toSrt, toTxt, toVtt } from "../source/writers.js";
import { CorrectionError } from "../source/corrections.js";
import { numbers } from "../source/numbers.js";
import { random, randomCorrection, randomDocument } from "./documents.js";

function written(doc) {
  return { json: toJson(doc), txt: toTxt(doc), srt: toSrt(doc), vtt: toVtt(doc), md: toMarkdown(doc), numbers: numbers(doc) };
}

function corrected(seed) {
  const next = random(seed);
  const history = new History(randomDocument(next));
  for (let step = 0; step < 8 && history.document.segments.length > 0; step++) {
    try {
      history.apply(`step ${step}`, randomCorrection(history.document, next));
    } catch (error) {
      if (!(error instanceof CorrectionError)) throw error;
    }
  }
  const before = history.original.segments;
  const kept = history.document.segments.map((segment, at) => [before.indexOf(segment), at]).filter(([from]) => from >= 0);
  return { ...written(history.document), original: toJson(history.original), kept };
}

const [first, ...others] = process.argv.slice(2);
const rows = first === "--random"
  ? Array.from({ length: Number(others[0]) }, (_, seed) => corrected(seed))
  : [first, ...others].map((file) => written(JSON.parse(readFileSync(file, "utf8"))));
process.stdout.write(rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
