// Correcting: the bar, the keys and the fields by which a reader corrects the transcript in the page.

import {
  CorrectionError, addPerson, changeWords, isChecked, joinSegments, markChecked, mergePeople, moveWords, nextOfSamePerson, renamePerson, splitSegment, suggestedName,
} from "./corrections.js";
import { element } from "./dom.js";
import { Drafts, draftKey } from "./drafts.js";
import { Menu } from "./menu.js";
import { PeopleDialog } from "./people_dialog.js";
import { FORMATS, Saving } from "./saving.js";
import { editText } from "./text_field.js";

/**
 * Lets a reader correct the document of a history.
 * @param {object} page
 * @param {import("./history.js").History} page.history
 * @param {import("./transcript_view.js").TranscriptView} page.view
 * @param {import("./people.js").People} page.people
 * @param {import("./keyboard.js").Keyboard} page.keyboard
 * @param {HTMLElement} page.legend the list of people beside the lanes
 * @param {HTMLElement} page.bar the bar for corrections
 * @param {(sentence: string) => void} page.announce
 * @param {string} page.text the transcript of the page as text: whose drafts are whose
 * @param {string[]} [page.tracks] labels of people with a track of their own
 */
export function attachCorrecting(page) {
  const correcting = new Correcting(page);
  page.history.onChange(() => correcting.render());
  correcting.saving.restore();
  correcting.render();
}

class Correcting {
  constructor({ history, view, people, keyboard, legend, bar, announce, text, tracks = [] }) {
    Object.assign(this, { history, view, people, legend, announce, tracks });
    this.menu = new Menu();
    this.saving = new Saving(history, new Drafts(storage(), draftKey(text), history.document), announce);
    this.dialog = new PeopleDialog(people, {
      onRename: (speaker, name) => this.#rename(speaker, name),
      onMerge: (from, into) => this.#merge(from, into),
      onAdd: () => this.#apply("adding a person", (doc) => addPerson(doc, this.tracks).document),
    });
    this.buttons = this.#buttons();
    this.problem = element("span", { class: "problem", role: "alert" });
    bar.append(...Object.values(this.buttons), this.problem);
    bar.after(this.saving.note);
    bar.addEventListener("keydown", (event) => this.#stepButtons(event));
    view.onSelect(() => this.#showSelection());
    view.list.addEventListener("dblclick", (event) => this.#doubleClicked(event));
    legend.addEventListener("dblclick", (event) => this.#legendAsked(event));
    legend.addEventListener("keydown", (event) => ["F2", "Enter", " "].includes(event.key) && this.#legendAsked(event));
    this.#addKeys(keyboard);
  }

  #buttons() {
    const button = (id, label, title, click) => element("button", { type: "button", id: `correct-${id}`, title, click }, label);
    return {
      undo: button("undo", "Undo", "Undo (Ctrl+Z)", () => this.#undo()),
      redo: button("redo", "Redo", "Redo (Ctrl+Shift+Z)", () => this.#redo()),
      edit: button("edit", "Edit text", "Edit the selected words, or the turn (Enter)", () => this.#edit()),
      move: button("move", "Speaker…", "Give it to another person (M)", () => this.#openMove(this.buttons.move)),
      split: button("split", "Split", "Begin a new turn with the selected word (S)", () => this.#split()),
      join: button("join", "Join", "Join with the next turn of the same person (J)", () => this.#join()),
      check: button("check", "Mark as checked", "Mark as checked, or to be checked again (C)", () => this.#check()),
      people: button("people", "People…", "Names of people; two who are one", () => this.dialog.open()),
      save: button("save", "Save", "Save the corrected transcript as a file (Ctrl+S)", () => this.saving.save()),
      more: button("more", "Save as…", "Save it as subtitles or as text", () => this.#openSave()),
    };
  }

  #addKeys(keyboard) {
    keyboard.add("Correcting", [
      { keys: ["Enter"], label: "Edit the selected words, or the turn", run: () => this.#edit() },
      { keys: ["m"], shown: "M 1…9", label: "Give it to another person", run: () => this.#openMove() },
      { keys: ["s"], label: "Begin a new turn with the word", run: () => this.#split() },
      { keys: ["j"], label: "Join with the person’s next turn", run: () => this.#join() },
      { keys: ["c"], label: "Mark as checked, or no longer", run: () => this.#check() },
      { keys: ["F2"], label: "Rename the person", run: () => this.#renameSelected() },
      { keys: ["Delete", "Backspace"], label: "Remove the selected words", run: () => this.#remove() },
      { keys: ["Ctrl+z"], shown: "Ctrl Z", label: "Undo", run: () => this.#undo() },
      { keys: ["Ctrl+Shift+z", "Ctrl+y"], shown: "Ctrl Shift Z", label: "Redo", run: () => this.#redo() },
      { keys: ["Ctrl+s"], shown: "Ctrl S", label: "Save the corrected transcript", run: () => this.saving.save() },
    ]);
  }

  /** Shows what can be done now. */
  render() {
    for (const name of this.legend.querySelectorAll("li .name")) {
      name.tabIndex = 0;
      name.setAttribute("role", "button");
      name.setAttribute("aria-keyshortcuts", "F2");
      name.title = `${name.textContent} (double click or F2: rename)`;
    }
    for (const row of this.legend.querySelectorAll("li[data-speaker]")) this.#showSuggestion(row);
    if (this.dialog.dialog.open) this.dialog.render();
    this.#showSelection();
  }

  /** Shows beside a person without a name who it may be, as a button that makes it the name. */
  #showSuggestion(row) {
    const label = row.dataset.speaker;
    const name = suggestedName(this.history.document, label);
    const shown = row.querySelector(".suggestion");
    if (shown?.dataset.name === (name ?? undefined)) return;
    const hadFocus = shown !== null && shown === document.activeElement;
    shown?.remove();
    row.classList.toggle("suggests", name !== null);
    if (name !== null) {
      const title = `${this.people.name(label)} may be ${name}, by voice: use this name`;
      row.querySelector(".name").after(element("button", {
        type: "button", class: "suggestion", dir: "auto", title, "aria-label": title, "data-name": name, click: () => this.#rename(label, name),
      }, element("span", {}, name), "?"));
    }
    if (hadFocus) row.querySelector(".name").focus();
  }

  #showSelection() {
    const { segment, first } = this.#selection();
    const { undo, redo, edit, move, split, join, check } = this.buttons;
    const { history } = this;
    undo.disabled = !history.canUndo;
    undo.title = history.canUndo ? `Undo: ${history.undoes} (Ctrl+Z)` : "Undo (Ctrl+Z)";
    redo.disabled = !history.canRedo;
    redo.title = history.canRedo ? `Redo: ${history.redoes} (Ctrl+Shift+Z)` : "Redo (Ctrl+Shift+Z)";
    edit.disabled = move.disabled = check.disabled = segment === null;
    split.disabled = segment === null || !first;
    join.disabled = segment === null || nextOfSamePerson(history.document, segment) < 0;
    const checked = segment !== null && isChecked(history.document.segments[segment]);
    check.textContent = checked ? "Checked ✓" : "Mark as checked";
    check.setAttribute("aria-pressed", String(checked));
    this.problem.textContent = "";
    document.documentElement.classList.toggle("has-selection", segment !== null);
  }

  /** What is selected: {segment, first, last}, numbers or null. */
  #selection() {
    const { selected } = this.view;
    const segment = selected?.segment ?? null;
    if (segment === null || !this.history.document.segments[segment]) return { segment: null, first: null, last: null };
    return selected;
  }

  #segment() {
    return this.history.document.segments[this.#selection().segment];
  }

  /**
   * Makes a correction and says so. What `place` finds in the new document, {segment, first, last}, is selected then.
   * Returns whether there was anything to correct.
   */
  #apply(description, correct, place = () => null) {
    const before = this.history.document;
    let doc;
    try {
      doc = correct(before);
    } catch (error) {
      if (!(error instanceof CorrectionError)) throw error;
      this.problem.textContent = error.message;
      return false;
    }
    const hadFocus = this.view.list.contains(document.activeElement) || document.activeElement === document.body;
    this.history.apply(description, doc);
    const found = doc === before ? null : place(doc, before);
    if (found) this.view.select(found.segment, found.first ?? null, found.last ?? found.first ?? null);
    if (hadFocus) this.#focus();
    if (doc !== before) this.announce(sentence(description));
    return doc !== before;
  }

  /** Puts the focus on the selected segment, where it is nowhere else. */
  #focus() {
    const { segment } = this.#selection();
    const isFree = document.activeElement === document.body || document.activeElement === null;
    if (isFree && segment !== null) this.view.articles[segment]?.focus({ preventScroll: true });
  }

  #undo() {
    this.#step("Undone", () => this.history.undo());
  }

  #redo() {
    this.#step("Done again", () => this.history.redo());
  }

  #step(what, step) {
    const before = this.history.document;
    const description = step();
    if (description === null) return;
    const segment = firstNew(this.history.document, before);
    if (segment >= 0) {
      this.view.select(segment);
      this.view.reveal(this.view.articles[segment]);
    }
    this.#focus();
    this.announce(`${what}: ${description}`);
  }

  // Words and turns

  #doubleClicked(event) {
    const article = event.target.closest(".segment");
    if (!article) return;
    const segment = Number(article.dataset.segment);
    const word = event.target.closest(".word");
    getSelection().removeAllRanges();
    if (word) {
      this.view.select(segment, Number(word.dataset.word));
      this.#editWords();
    } else if (event.target.closest(".who")) {
      this.view.select(segment);
      this.#renameSelected();
    }
  }

  #edit() {
    const { segment, first } = this.#selection();
    if (segment === null) return;
    if (first !== null) this.#editWords();
    else this.#editTurn();
  }

  #editWords() {
    const { segment, first, last } = this.#selection();
    const words = this.#segment().words.slice(first, last + 1);
    const old = wordsText(words);
    editText({
      hidden: words.map((_, number) => this.view.wordElement(segment, first + number)),
      text: old,
      label: words.length > 1 ? "Words" : "Word",
      onDone: (text) => {
        if (text !== null) this.#change(segment, first, last, text, old);
        this.#focus();
      },
      onTab: (by) => this.#editNext(by),
    });
  }

  /** Goes on editing with the word after the selected ones (1) or before them (-1). */
  #editNext(by) {
    let { segment, first, last } = this.#selection();
    if (segment === null) return;
    const { segments } = this.history.document;
    let word = (by > 0 ? last ?? -1 : first ?? 0) + by;
    if (word < 0 || word >= segments[segment].words.length) {
      segment += by;
      if (segment < 0 || segment >= segments.length) return;
      word = by > 0 ? 0 : segments[segment].words.length - 1;
    }
    this.view.select(segment, word);
    this.view.reveal(this.view.wordElement(segment, word));
    this.#editWords();
  }

  #editTurn() {
    const { segment } = this.#selection();
    const { words } = this.#segment();
    editText({
      hidden: [this.view.articles[segment].querySelector(".words")],
      text: wordsText(words),
      label: `What ${this.people.name(this.#segment().speaker)} says`,
      multiline: true,
      onDone: (text) => {
        if (text !== null) this.#change(segment, 0, words.length - 1, text, wordsText(words), true);
        this.#focus();
      },
    });
  }

  #change(segment, first, last, text, old, whole = false) {
    const { start, speaker } = this.history.document.segments[segment];
    const written = text.trim();
    this.#apply(
      written ? `“${short(old)}” became “${short(written)}”` : `removing “${short(old)}”`,
      (doc) => changeWords(doc, segment, first, last, text),
      (doc) => {
        const at = whole ? segment : doc.segments.findIndex((one, number) => number >= segment - 1 && one.speaker === speaker && one.end >= start);
        const count = written ? text.trim().split(/\s+/u).length : 0;
        if (!doc.segments[at] || whole || count === 0) return doc.segments[at] ? { segment: at } : null;
        return { segment: at, first, last: Math.min(first + count, doc.segments[at].words.length) - 1 };
      },
    );
  }

  #remove() {
    const { segment, first, last } = this.#selection();
    if (segment === null || first === null) return;
    this.#change(segment, first, last, "", wordsText(this.#segment().words.slice(first, last + 1)));
  }

  #split() {
    const { segment, first } = this.#selection();
    if (segment === null) return;
    if (!first) {
      this.problem.textContent = "Select the word that the new turn begins with.";
      return;
    }
    const { start } = this.#segment().words[first];
    this.#apply(`splitting before “${short(this.#segment().words[first].word)}”`, (doc) => splitSegment(doc, segment, first), (doc, before) => newAt(doc, before, start));
  }

  #join() {
    const { segment } = this.#selection();
    if (segment === null) return;
    const { start } = this.#segment();
    this.#apply(`joining two turns of ${this.people.name(this.#segment().speaker)}`, (doc) => joinSegments(doc, segment), (doc, before) => newAt(doc, before, start));
  }

  #check() {
    const { segment } = this.#selection();
    if (segment === null) return;
    const checked = !isChecked(this.#segment());
    const description = checked ? "marking as checked" : "marking as to be checked";
    this.#apply(description, (doc) => markChecked(doc, segment, checked), () => this.#selection());
  }

  // People

  /** Opens the menu of people: `scope` is what is given to them, "turn", "words" or "rest". */
  #openMove(anchor = null, scope = null) {
    const { segment, first, last } = this.#selection();
    if (segment === null) return;
    const { words, speaker } = this.#segment();
    const chosen = scope ?? (first !== null && last > first ? "words" : "turn");
    const place = anchor ?? (first === null ? this.view.articles[segment] : this.view.wordElement(segment, first));
    const home = anchor ?? this.view.articles[segment];
    const text = first === null ? "" : short(wordsText(words.slice(first, last + 1)));
    const ranges = { turn: [0, words.length - 1], words: [first, last], rest: [first, words.length - 1] };
    const scopes = first === null || words.length === 1 ? [] : [
      ["turn", "The whole turn"], ["words", last > first ? `The words “${text}”` : `The word “${text}”`], ["rest", `From “${short(words[first].word)}” to the end`],
    ].filter(([kind]) => kind !== "rest" || (first > 0 && last < words.length - 1));
    const move = (to) => this.#move(segment, ...ranges[chosen], to);
    const everyone = this.people.labels.map((label) => ({
      label: this.people.name(label), mark: this.people.swatch(label), run: () => move(label), ...(/^\d$/.test(this.people.mark(label)) ? { key: this.people.mark(label) } : {}),
    })).filter((_, number) => this.people.labels[number] !== this.people.person(speaker));
    this.menu.open(home, "Who says it", [
      ...(scopes.length > 0 ? [["What", scopes.map(([kind, label]) => ({ label, checked: kind === chosen, run: () => this.#openMove(anchor, kind) }))]] : []),
      ["Who says it", [...everyone, { label: "A new person", run: () => move(null) }]],
    ], scopes.length, place);
  }

  #move(segment, first, last, to) {
    const word = this.#segment().words[first];
    let speaker = to;
    const make = (doc) => {
      if (to !== null) return moveWords(doc, segment, first, last, to);
      const added = addPerson(doc, this.tracks);
      speaker = added.speaker;
      return moveWords(added.document, segment, first, last, speaker);
    };
    const name = to === null ? "a new person" : this.people.name(to);
    this.#apply(`moving “${short(wordsText(this.#segment().words.slice(first, last + 1)))}” to ${name}`, make, (doc, before) => newAt(doc, before, word.start, speaker));
  }

  #rename(speaker, name, labels = [speaker]) {
    const before = this.people.name(speaker);
    this.#apply(`renaming ${before} to ${name.trim() || speaker}`, (doc) => labels.reduce((named, label) => renamePerson(named, label, name), doc), () => this.#selection().segment === null ? null : this.#selection());
  }

  #merge(from, into) {
    const names = [from, into].map((label) => this.people.name(label));
    this.#apply(`${names[0]} and ${names[1]} became one person`, (doc) => mergePeople(doc, from, into));
  }

  #legendAsked(event) {
    const name = event.target.closest(".name");
    const row = name?.closest("li[data-speaker]");
    if (!row || event.target.closest("input")) return;
    event.preventDefault();
    event.stopPropagation();
    this.#editName(name, row.dataset.speaker, () => row.isConnected && row.querySelector(".name").focus());
  }

  #renameSelected() {
    const { segment } = this.#selection();
    if (segment === null) return;
    this.#editName(this.view.articles[segment].querySelector(".who"), this.#segment().speaker, () => this.#focus());
  }

  #editName(place, speaker, onEnd) {
    editText({
      hidden: [place],
      text: this.history.document.speakers[speaker] ?? "",
      label: `Name of ${this.people.name(speaker)}`,
      onDone: (name) => {
        if (name !== null) this.#rename(speaker, name, this.people.labelsOf(speaker));
        onEnd();
      },
    });
  }

  // The bar

  #openSave() {
    this.menu.open(this.buttons.more, "Save as", [
      ["", FORMATS.map((format) => ({ label: format[0], run: () => this.saving.saveAs(format) }))],
      ["For subtitles with all rules: meetsplit export", [{ label: "Corrected transcript (JSON)", run: () => this.saving.save() }]],
    ]);
  }

  #stepButtons(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || event.target.tagName !== "BUTTON") return;
    const buttons = Object.values(this.buttons).filter((button) => !button.disabled);
    buttons[(buttons.indexOf(event.target) + by + buttons.length) % buttons.length].focus();
    event.preventDefault();
    event.stopPropagation();
  }
}

/** The browser's storage for pages; null where it has none for this page. */
function storage() {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

/** The number of the first segment of a document that another one does not have, or -1. */
function firstNew(doc, other) {
  const known = new Set(other.segments);
  return doc.segments.findIndex((segment) => !known.has(segment));
}

/** The new segment with a word that begins at a time, of that speaker if one is named: {segment}, or null. */
function newAt(doc, before, time, speaker = null) {
  const known = new Set(before.segments);
  const segment = doc.segments.findIndex(
    (one) => !known.has(one) && one.words.some(({ start }) => start === time) && (speaker === null || one.speaker === speaker),
  );
  return segment < 0 ? null : { segment };
}

function wordsText(words) {
  return words.map(({ word }) => word).join(" ");
}

/** The beginning of a text, for a sentence. */
function short(text) {
  return text.length > 30 ? `${text.slice(0, 28).trimEnd()}…` : text;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
