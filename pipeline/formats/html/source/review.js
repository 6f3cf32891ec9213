// The places to review: how many there are, and the way from one to the next.

import { element, iconButton } from "./dom.js";

/** Counts the segments to review and goes through them; `bar` is its element. */
export class Review {
  /**
   * @param {import("./transcript_view.js").TranscriptView} view
   * @param {(segment: number) => void} onGo
   */
  constructor(view, onGo) {
    this.view = view;
    this.onGo = onGo;
    this.count = element("span", { class: "count" });
    this.only = element("input", { type: "checkbox", id: "only-review" });
    this.label = element("label", { for: "only-review" }, this.only, " To review ", this.count);
    this.previous = iconButton("up", "Previous place to review (P)", { click: () => this.step(-1) });
    this.next = iconButton("down", "Next place to review (N)", { click: () => this.step(1) });
    this.bar = element("div", { class: "review", role: "group", "aria-label": "Places to review" }, this.label, this.previous, this.next);
  }

  /** Counts the places of the view's document. */
  render() {
    this.places = this.view.doc.segments.flatMap((segment, i) => (segment.review.length ? [i] : []));
    this.count.textContent = String(this.places.length);
    this.previous.disabled = this.next.disabled = this.places.length === 0;
    this.only.disabled = this.places.length === 0 && !this.only.checked;
  }

  /** Goes to the next (1) or previous (-1) place that is shown, from the selected segment. */
  step(by) {
    const places = this.places.filter((place) => this.view.shows(place));
    if (!places.length) return;
    const from = this.view.selectedSegment ?? -1;
    const next = by > 0 ? places.find((place) => place > from) : places.findLast((place) => place < from);
    this.onGo(next ?? (by > 0 ? places[0] : places.at(-1)));
  }
}
