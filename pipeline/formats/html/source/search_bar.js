// The search field: finds while one types, counts, and goes from place to place.

import { element, iconButton } from "./dom.js";
import { search } from "./search.js";

const TYPING_PAUSE = 120; // milliseconds

/** The search of a transcript view; `bar` is its element. */
export class SearchBar {
  /**
   * @param {import("./transcript_view.js").TranscriptView} view
   * @param {{onHits: (hits: {segment: number, first: number, last: number}[]) => void, onGo: () => void}} listeners
   *   told the places that were found, and that the reader goes to one
   */
  constructor(view, { onHits, onGo }) {
    this.view = view;
    this.onHits = onHits;
    this.onGo = onGo;
    this.hits = [];
    this.current = -1;
    this.field = element("input", {
      type: "search", id: "search", placeholder: "Search", "aria-label": "Search the transcript", autocomplete: "off", spellcheck: "false",
      input: () => this.#typed(),
      keydown: (event) => this.#key(event),
    });
    this.count = element("output", { class: "count", for: "search", "aria-live": "polite" });
    this.previous = iconButton("up", "Previous place (Shift+Enter)", { click: () => this.step(-1), disabled: true });
    this.next = iconButton("down", "Next place (Enter)", { click: () => this.step(1), disabled: true });
    this.bar = element("div", { class: "search", role: "search" }, this.field, this.count, this.previous, this.next);
  }

  focus() {
    this.field.focus();
    this.field.select();
  }

  /** Searches again, such as in another document or with another filter; stays where it is. */
  refresh() {
    if (this.field.value || this.hits.length) this.#run(false);
  }

  /** Goes to the next (1) or the previous (-1) place. */
  step(by) {
    if (!this.hits.length) return;
    this.current = (this.current + by + this.hits.length) % this.hits.length;
    this.#show(true);
  }

  #typed() {
    clearTimeout(this.pause);
    this.pause = setTimeout(() => this.#run(true), TYPING_PAUSE);
  }

  #key(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      clearTimeout(this.pause);
      if (this.searched !== this.field.value) this.#run(true);
      else this.step(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      this.field.value = "";
      this.#run(false);
      this.field.blur();
    }
  }

  #run(reveal) {
    this.searched = this.field.value;
    const found = search(this.view.doc.segments, this.searched);
    this.hits = found.filter((hit) => this.view.shows(hit.segment));
    const from = this.view.selectedSegment ?? 0;
    this.current = Math.max(0, this.hits.findIndex((hit) => hit.segment >= from));
    this.onHits(this.hits);
    this.#show(reveal);
  }

  #show(reveal) {
    const some = this.hits.length > 0;
    this.view.showHits(this.hits, some ? this.current : -1);
    this.count.textContent = some ? `${this.current + 1} of ${this.hits.length}` : this.searched.trim() ? "none" : "";
    this.previous.disabled = this.next.disabled = !some;
    if (some && reveal) {
      const { segment, first } = this.hits[this.current];
      this.onGo();
      this.view.reveal(this.view.wordElement(segment, first));
    }
  }
}
