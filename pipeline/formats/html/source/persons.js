// Persons: labels with one name are one person in what is shown and in what is written for people, as in Python
// (formats/people.py). The document keeps its labels, so that other names make two people of them again.

import { mergePeople } from "./corrections.js";
import { oneLine } from "./texts.js";

/** A name as it is compared: whatever the case and the composition of its letters. */
function folded(name) {
  return oneLine(name).normalize("NFC").toUpperCase().toLowerCase().replaceAll("ς", "σ").normalize("NFC");
}

/** The label that stands for each label's person, as a map: the first one with that name, or the label itself. */
export function personLabels(doc) {
  const labels = [...new Set([...Object.keys(doc.speakers ?? {}), ...doc.turns.map((turn) => turn.speaker), ...doc.segments.map((segment) => segment.speaker)])].sort();
  const firsts = new Map();
  return new Map(labels.map((label) => {
    const name = folded(doc.speakers?.[label] ?? "");
    if (name !== "" && !firsts.has(name)) firsts.set(name, label);
    return [label, firsts.get(name) ?? label];
  }));
}

/** The document with one label for each person; itself where that changes nothing. */
export function byPerson(doc) {
  const others = [...personLabels(doc)].filter(([label, person]) => label !== person);
  return others.reduce((merged, [label, person]) => mergePeople(merged, label, person), doc);
}
