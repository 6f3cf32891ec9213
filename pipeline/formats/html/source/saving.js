// Saving: corrections are kept in this browser as they are made, and downloaded as files.

import { element } from "./dom.js";
import { toJson, toMarkdown, toSrt, toTxt, toVtt } from "./writers.js";

/** What can be saved: a label, the ending of the file, its type and its writer. */
export const FORMATS = [
  ["Subtitles (SRT)", "srt", "application/x-subrip", toSrt],
  ["Subtitles for the web (WebVTT)", "vtt", "text/vtt", toVtt],
  ["Text", "txt", "text/plain", toTxt],
  ["Markdown, for a word processor", "md", "text/markdown", toMarkdown],
];

/** Keeps the corrections of a history in this browser, and says in `note` where they are. */
export class Saving {
  /**
   * @param {import("./history.js").History} history
   * @param {import("./drafts.js").Drafts} drafts
   * @param {(sentence: string) => void} announce
   */
  constructor(history, drafts, announce) {
    this.history = history;
    this.drafts = drafts;
    this.announce = announce;
    this.saved = history.document; // what is in a file
    this.isKept = true;
    this.text = element("span");
    this.discard = element("button", { type: "button", hidden: true, click: () => this.#discard() }, "Discard them");
    this.note = element("p", { id: "correct-note", hidden: true }, this.text, this.discard);
    this.name = fileName(history.document);
    history.onChange(() => this.#changed());
    addEventListener("beforeunload", (event) => {
      if (this.isUnsaved && !this.isKept) event.preventDefault();
    });
    addEventListener("storage", (event) => {
      if (event.key === drafts.key) this.#say("This page is open in another tab too, and was corrected there: reload it, or close that one. Only what was corrected last is kept.", true);
    });
  }

  /** Whether there are corrections that are in no file. */
  get isUnsaved() {
    return this.history.document !== this.saved && this.history.document !== this.history.original;
  }

  /** Takes up corrections that were kept in this browser before. */
  restore() {
    const draft = this.drafts.load();
    if (draft === null) return;
    const when = draft.at.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    this.history.apply(`corrections of ${when}`, draft.document);
    if (draft.isSaved) this.saved = draft.document;
    this.#say(`Your corrections of ${when} are back: this browser had kept them${draft.isSaved ? "" : ", and they are in no file yet"}.`);
    this.discard.hidden = false;
  }

  /** Downloads the corrected transcript as JSON. */
  save() {
    const name = `${this.name}.corrected.json`;
    const doc = this.history.document;
    download(name, "application/json", toJson(doc));
    this.saved = doc;
    this.isKept = this.drafts.keep(doc, true);
    this.#saySaved();
    this.discard.hidden = true;
    this.announce(`Saved as ${name}`);
  }

  /** Downloads the corrected transcript in a format of `FORMATS`. */
  saveAs([, ending, type, write]) {
    const name = `${this.name}.corrected.${ending}`;
    download(name, type, write(this.history.document));
    this.announce(`Saved as ${name}`);
  }

  #changed() {
    const doc = this.history.document;
    this.isKept = this.drafts.keep(doc, doc === this.saved);
    this.discard.hidden = true;
    if (doc === this.history.original) this.#say("");
    else if (!this.isKept) this.#say("This browser does not keep corrections: save them to a file before you close this page.", true);
    else if (this.isUnsaved) this.#say("Corrections are kept in this browser. Save to keep them in a file.");
    else this.#saySaved();
  }

  #discard() {
    this.history.apply("discarding corrections", this.history.original);
    this.announce("Corrections discarded; Undo brings them back");
  }

  #saySaved() {
    const { name } = this;
    this.#say(`Saved as ${name}.corrected.json. Put it beside ${name}.json and run: meetsplit review ${quoted(`${name}.json`)}`);
  }

  #say(sentence, isWarning = false) {
    this.text.textContent = sentence;
    this.note.hidden = sentence === "";
    this.note.classList.toggle("warning", isWarning);
  }
}

/** What files of the page are called: like the page itself, else like the recording. */
function fileName(doc) {
  try {
    const page = decodeURIComponent(location.pathname.split("/").pop());
    if (/\.html?$/i.test(page)) return page.replace(/\.html?$/i, "");
  } catch {
    // an address that is no text
  }
  return doc.recording || "transcript";
}

/** A file name as a shell takes it. */
function quoted(name) {
  return /^[\w.-]+$/.test(name) ? name : `"${name.replace(/(["\\$`])/g, "\\$1")}"`;
}

function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const link = element("a", { href: address, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
