// The people of a meeting: their names, their numbers and their colours, and the list that mixes their voices.

import { drawing, element } from "./dom.js";
import { speechBySpeaker } from "./numbers.js";
import { byPerson, personLabels } from "./persons.js";
import { clock } from "./timeline.js";

const COLOURS = 8;

/**
 * The people of a document: `labels` are those that stand for a person, `everyone` all of them, in their order; `view` is
 * the document with one label for each person. A person keeps number and colour while the page is open.
 */
export class People {
  constructor() {
    this.slots = new Map();
    this.swatches = new Map();
    this.doc = null;
  }

  /** Takes another document. */
  read(doc) {
    this.doc = doc;
    this.persons = personLabels(doc);
    this.view = byPerson(doc);
    this.everyone = [...this.persons.keys()];
    this.labels = this.everyone.filter((label) => this.person(label) === label);
    for (const label of this.everyone) if (!this.slots.has(label)) this.slots.set(label, this.slots.size);
  }

  /** The label that stands for the person. */
  person(label) {
    return this.persons.get(label) ?? label;
  }

  /** The labels of a person. */
  labelsOf(label) {
    return this.everyone.filter((other) => this.person(other) === this.person(label));
  }

  /** The person's name, the label where there is none. */
  name(label) {
    return this.doc.speakers[label]?.trim() || label.trim() || "?";
  }

  /** The number from 1 that marks the person beside the colour; ? for words that belong to no turn. */
  mark(label) {
    return label === "UNKNOWN" ? "?" : String(this.slots.get(this.person(label)) + 1);
  }

  /** The number of the person's colour. */
  colour(label) {
    return label === "UNKNOWN" ? "unknown" : String(this.slots.get(this.person(label)) % COLOURS);
  }

  /** The class that gives an element the person's colours. */
  style(label) {
    return `person-${this.colour(label)}`;
  }

  /** A coloured square with the person's number. */
  swatch(label) {
    const person = this.person(label);
    if (!this.swatches.has(person)) {
      this.swatches.set(person, element("span", { class: `swatch ${this.style(person)}`, "aria-hidden": "true" }, this.mark(person)));
    }
    return this.swatches.get(person).cloneNode(true);
  }
}

/** The list of the people beside the lanes: name, solo, mute and volume of each. */
export class PeopleList {
  /**
   * @param {People} people
   * @param {import("./player.js").Player} player
   */
  constructor(people, player) {
    this.people = people;
    this.player = player;
    this.list = element("ul", { id: "people", "aria-label": "People" });
    player.addEventListener("mix", () => this.#showMix());
  }

  /** Shows the people of the document that `people` holds; rows of people who stay are kept. */
  render() {
    const rows = new Map([...this.list.children].map((row) => [row.dataset.speaker, row]));
    const { labels } = this.people;
    const wanted = labels.map((label) => rows.get(label) ?? this.#row(label));
    if (wanted.length !== this.list.children.length || wanted.some((row, i) => row !== this.list.children[i])) {
      this.list.replaceChildren(...wanted);
    }
    wanted.forEach((row) => this.#showName(row));
    this.#showMix();
  }

  #row(label) {
    const own = this.player.mix.voices.has(label);
    const name = element("span", { class: "name", dir: "auto" });
    const row = element("li", { "data-speaker": label, class: this.people.style(label) }, this.people.swatch(label), name);
    if (!own) return row;
    row.append(
      element("button", { type: "button", class: "solo", "aria-pressed": "false", click: () => this.player.toggleSolo(label) }, "Solo"),
      element("button", { type: "button", class: "mute", "aria-pressed": "false", click: () => this.#toggleMute(label) }, "Mute"),
      element("input", {
        type: "range", class: "volume", min: 0, max: 1, step: 0.05, value: 1,
        input: (event) => this.player.change(label, { volume: Number(event.target.value) }),
      }),
    );
    return row;
  }

  #toggleMute(label) {
    this.player.change(label, { muted: !this.player.mix.voices.get(label).muted });
  }

  #showName(row) {
    const label = row.dataset.speaker;
    const name = this.people.name(label);
    const shown = row.querySelector(".name");
    if (shown.textContent !== name && !shown.querySelector("input")) shown.textContent = name;
    shown.title = name;
    const controls = { ".solo": `Solo: hear ${name} alone`, ".mute": `Mute ${name}`, ".volume": `Volume of ${name}` };
    for (const [selector, title] of Object.entries(controls)) {
      const control = row.querySelector(selector);
      if (!control) continue;
      control.title = title;
      control.setAttribute("aria-label", title);
    }
  }

  #showMix() {
    for (const row of this.list.children) {
      const voice = this.player.mix.voices.get(row.dataset.speaker);
      if (!voice) continue;
      row.querySelector(".solo").setAttribute("aria-pressed", String(voice.solo));
      row.querySelector(".mute").setAttribute("aria-pressed", String(voice.muted));
      const slider = row.querySelector(".volume");
      slider.value = String(voice.volume);
      slider.setAttribute("aria-valuetext", `${Math.round(voice.volume * 100)} %`);
      row.classList.toggle("silent", this.player.mix.gain(row.dataset.speaker) === 0);
    }
  }
}

/** A drawing of the whole meeting, a row for each person: it scales with the page and prints. */
export function lanesDrawing(doc, people) {
  const speech = speechBySpeaker(doc);
  const length = Math.max(doc.duration, 1);
  const rows = people.labels.map((label, row) => {
    const bars = (speech.get(label) ?? []).map(({ start, end }) => {
      const width = Math.max(end - start, length / 2000);
      return `M${start.toFixed(2)} ${row + 0.12}h${width.toFixed(2)}v.76h-${width.toFixed(2)}z`;
    });
    return drawing("path", { d: bars.join(""), class: people.style(label) });
  });
  const label = `Who spoke when, in ${clock(doc.duration)}`;
  return drawing(
    "svg",
    { class: "lanes-drawing", viewBox: `0 0 ${length} ${people.labels.length}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    ...rows,
  );
}
