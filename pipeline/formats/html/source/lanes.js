// The lanes: who spoke when, a row for each person, as a drawing of the whole meeting and a view that zooms.

import { drawing, element, iconButton } from "./dom.js";
import { speechBySpeaker } from "./numbers.js";
import { lanesDrawing } from "./people.js";
import { Intervals, clamped, clock, during, panned, shared, spoken, ticks, zoomed } from "./timeline.js";

const RULER = 26; // pixels, as in page.css
const FIRST_WINDOW = 120; // seconds
const WORDS_FROM = 70; // pixels a second, from which words are written on the bars
const DRAG = 4; // pixels, below which a press is a click

/**
 * The lanes of a document. `overview`, `view` and `zoomButtons` are the elements to place on the page.
 * A click jumps (`onSeek`); wheel, pinch and buttons zoom; a drag moves the window.
 */
export class Lanes {
  /**
   * @param {import("./people.js").People} people
   * @param {(time: number) => void} onSeek
   */
  constructor(people, onSeek) {
    this.people = people;
    this.onSeek = onSeek;
    this.time = 0;
    this.hits = [];
    this.#makeOverview();
    this.#makeView();
    this.zoomButtons = element(
      "div", { class: "zoom", role: "group", "aria-label": "Zoom of the lanes" },
      iconButton("out", "Zoom out (-)", { click: () => this.zoom(2) }),
      iconButton("in", "Zoom in (+)", { click: () => this.zoom(0.5) }),
      iconButton("whole", "Whole meeting", { click: () => this.show({ start: 0, end: this.doc.duration }) }),
    );
    new ResizeObserver(() => this.#resized()).observe(this.view);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#recolour());
  }

  #makeOverview() {
    this.frame = element("div", { class: "window" });
    this.overviewHead = element("div", { class: "playhead" });
    this.marks = element("div", { class: "marks" });
    this.whole = element("div", { class: "whole" });
    this.overview = element("div", { class: "overview", title: "The whole meeting" }, this.whole, this.marks, this.frame, this.overviewHead);
    let from = null;
    this.overview.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      from = event.clientX;
      this.overview.setPointerCapture(event.pointerId);
    });
    this.overview.addEventListener("pointermove", (event) => {
      if (from === null || Math.abs(event.clientX - from) < DRAG) return;
      this.#centre(this.#overviewTime(event));
    });
    this.overview.addEventListener("pointerup", (event) => {
      if (from !== null && Math.abs(event.clientX - from) < DRAG) this.onSeek(this.#overviewTime(event));
      from = null;
    });
    this.overview.addEventListener("pointercancel", () => (from = null));
  }

  #makeView() {
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.playhead = element("div", { class: "playhead" });
    this.hover = element("div", { class: "hover", "aria-hidden": "true" });
    this.view = element(
      "div",
      { class: "lanes", role: "slider", tabindex: "0", "aria-label": "Moment of the meeting", "aria-valuemin": "0" },
      this.canvas, this.playhead, this.hover,
    );
    this.context = this.canvas.getContext("2d");
    this.view.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.#followPointers();
  }

  /** Shows another document in the window that is shown. */
  render(doc) {
    const first = !this.doc;
    this.doc = doc;
    this.speech = speechBySpeaker(doc);
    this.together = shared([...this.speech.values()]);
    this.segments = new Intervals(doc.segments);
    this.review = doc.segments.filter((segment) => segment.review.length);
    this.rows = new Map(this.people.labels.map((label, row) => [label, row]));
    this.view.setAttribute("aria-valuemax", String(Math.round(doc.duration)));
    this.whole.replaceChildren(lanesDrawing(doc, this.people));
    this.#mark();
    if (first) {
      const end = doc.duration <= 1.5 * FIRST_WINDOW ? doc.duration : FIRST_WINDOW;
      this.window = clamped({ start: 0, end }, doc.duration);
      this.#recolour();
    }
    this.#resized();
    this.#showHead();
  }

  /** Shows the moment that is played: the window turns its page where the sound leaves it, and follows jumps. */
  showTime(time) {
    const { start, end } = this.window;
    const length = end - start;
    const inside = this.time >= start && this.time <= end;
    const jumped = Math.abs(time - this.time) > 1;
    this.time = time;
    const edge = start + 0.95 * length;
    if ((jumped && (time < start || time > edge)) || (inside && time > edge && end < this.doc.duration)) {
      this.show({ start: time - 0.1 * length, end: time + 0.9 * length });
    }
    this.#showHead();
  }

  /** Marks moments in the overview, such as the places of a search. */
  showHits(times) {
    this.hits = times;
    this.#mark();
  }

  /** Shows a window of time. */
  show(window) {
    this.window = clamped(window, this.doc.duration);
    this.#draw();
    this.#showHead();
  }

  /** Shows a window `factor` times as long, around the moment that is played where it is in view. */
  zoom(factor, at = null) {
    const { start, end } = this.window;
    const centre = at ?? (this.time >= start && this.time <= end ? this.time : (start + end) / 2);
    this.show(zoomed(this.window, factor, centre, this.doc.duration));
  }

  #wheel(event) {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    const delta = sideways && !event.deltaX ? event.deltaY : sideways ? event.deltaX : event.deltaY;
    const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 200 : 1;
    const before = this.window;
    const length = before.end - before.start;
    const next = sideways
      ? panned(before, (delta * unit * length) / this.width, this.doc.duration)
      : zoomed(before, Math.exp(delta * unit * (event.ctrlKey ? 0.01 : 0.0025)), this.#timeAt(event.clientX), this.doc.duration);
    const same = Math.abs(next.start - before.start) < 1e-9 && Math.abs(next.end - before.end) < 1e-9;
    if (same && !event.ctrlKey && !sideways) return; // nothing left to zoom: the page scrolls
    event.preventDefault();
    this.show(next);
  }

  #followPointers() {
    const pointers = new Map();
    let start = null;
    const begin = () => {
      const xs = [...pointers.values()];
      start = { xs, window: this.window, moved: start?.moved ?? false };
    };
    this.view.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.view.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, event.clientX);
      if (pointers.size === 1) start = null;
      begin();
    });
    this.view.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse") this.#hovered(event);
      if (!pointers.has(event.pointerId)) return;
      pointers.set(event.pointerId, event.clientX);
      this.#drag(start, [...pointers.values()]);
    });
    const finish = (event) => {
      if (!pointers.delete(event.pointerId)) return;
      if (event.type === "pointerup" && !start.moved) this.onSeek(this.#timeAt(event.clientX));
      if (pointers.size) begin();
    };
    this.view.addEventListener("pointerup", finish);
    this.view.addEventListener("pointercancel", finish);
    this.view.addEventListener("pointerleave", () => (this.hover.hidden = true));
  }

  #drag(start, xs) {
    const { window } = start;
    const length = window.end - window.start;
    if (xs.length === 1) {
      const moved = xs[0] - start.xs[0];
      if (!start.moved && Math.abs(moved) < DRAG) return;
      start.moved = true;
      this.show(panned(window, (-moved * length) / this.width, this.doc.duration));
    } else {
      start.moved = true;
      const [a, b] = start.xs;
      const factor = Math.max(Math.abs(a - b), 10) / Math.max(Math.abs(xs[0] - xs[1]), 10);
      const left = this.view.getBoundingClientRect().left;
      const at = window.start + (((a + b) / 2 - left) * length) / this.width;
      const moved = (xs[0] + xs[1] - a - b) / 2;
      const next = zoomed(window, factor, at, this.doc.duration);
      this.show(panned(next, (-moved * (next.end - next.start)) / this.width, this.doc.duration));
    }
  }

  #hovered(event) {
    const time = this.#timeAt(event.clientX);
    const speaking = [...this.speech].filter(([, spans]) => during(spans, time, time + 1e-6).length);
    const names = speaking.map(([label]) => this.people.name(label));
    this.hover.textContent = [clock(time, 1), ...names].join(" · ");
    this.hover.hidden = false;
    const x = event.clientX - this.view.getBoundingClientRect().left;
    this.hover.style.transform = `translateX(${Math.min(Math.max(x, 0), this.width - this.hover.offsetWidth)}px)`;
  }

  #timeAt(clientX) {
    const { start, end } = this.window;
    const share = (clientX - this.view.getBoundingClientRect().left) / this.width;
    return Math.min(Math.max(start + share * (end - start), 0), this.doc.duration);
  }

  #overviewTime(event) {
    const box = this.overview.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * this.doc.duration;
  }

  #centre(time) {
    const half = (this.window.end - this.window.start) / 2;
    this.show({ start: time - half, end: time + half });
  }

  #resized() {
    if (!this.doc) return;
    const { clientWidth, clientHeight } = this.view;
    const scale = window.devicePixelRatio || 1;
    this.width = Math.max(clientWidth, 1);
    this.height = clientHeight;
    this.canvas.width = Math.round(this.width * scale);
    this.canvas.height = Math.round(this.height * scale);
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
    this.#paint();
    this.#showHead();
  }

  #recolour() {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(`--${name}`).trim();
    this.ink = { text: read("text"), muted: read("muted"), line: read("line"), band: read("band"), review: read("review"), paper: read("paper") };
    this.fills = new Map();
    this.fillOf = (label) => {
      const colour = this.people.colour(label);
      if (!this.fills.has(colour)) this.fills.set(colour, read(`fill-${colour}`));
      return this.fills.get(colour);
    };
    if (this.width) this.#paint();
  }

  /** Draws in the next frame, once however often it was asked. */
  #draw() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    this.asked = null;
    const { context: c, width, height } = this;
    if (!height) return;
    const { start, end } = this.window;
    this.scale = width / (end - start);
    this.rowHeight = (height - RULER) / Math.max(this.rows.size, 1);
    c.clearRect(0, 0, width, height);
    this.#paintRuler();
    c.fillStyle = this.ink.band;
    for (const span of during(this.together, start, end)) {
      c.fillRect(this.#x(span.start), RULER, Math.max((span.end - span.start) * this.scale, 1), height - RULER);
    }
    c.fillStyle = this.ink.line;
    for (let row = 0; row <= this.rows.size; row++) c.fillRect(0, Math.round(RULER + row * this.rowHeight), width, 1);
    const words = this.scale >= WORDS_FROM;
    for (const [label, spans] of this.speech) this.#paintBars(label, during(spans, start, end), words);
    const visible = this.segments.overlapping(start, end).map((i) => this.doc.segments[i]);
    for (const segment of visible) if (segment.review.length) this.#paintReview(segment);
    if (!this.view.offsetLeft) this.#paintMarks();
    if (words) for (const segment of visible) this.#paintWords(segment);
  }

  #x(time) {
    return (time - this.window.start) * this.scale;
  }

  #top(label) {
    return RULER + this.rows.get(label) * this.rowHeight;
  }

  #paintRuler() {
    const { context: c } = this;
    const { step, times } = ticks(this.window, this.width / 70);
    c.font = "11px system-ui, sans-serif";
    c.textBaseline = "middle";
    for (const time of times) {
      const x = Math.round(this.#x(time));
      c.fillStyle = this.ink.line;
      c.fillRect(x, 0, 1, this.height);
      c.fillStyle = this.ink.muted;
      c.fillText(clock(time, step < 1 ? 1 : 0), x + 4, RULER / 2);
    }
  }

  #paintBars(label, spans, words) {
    const { context: c } = this;
    const top = this.#top(label) + Math.max(this.rowHeight * 0.14, 2);
    const tall = this.rowHeight - 2 * Math.max(this.rowHeight * 0.14, 2) + 1;
    c.fillStyle = this.fillOf(label);
    c.beginPath();
    for (const span of spans) {
      const left = this.#x(span.start);
      const wide = Math.max((span.end - span.start) * this.scale - 0.5, 1.2);
      if (words) c.rect(left, top + tall - 3, wide, 3);
      else if (wide > 5) c.roundRect(left, top, wide, tall, 2.5);
      else c.rect(left, top, wide, tall);
    }
    c.fill();
    if (!words) return;
    c.globalAlpha = 0.22;
    for (const span of spans) c.fillRect(this.#x(span.start), top, (span.end - span.start) * this.scale, tall - 3);
    c.globalAlpha = 1;
  }

  /** Stripes on the segment's bar, a line below it and a flag on the ruler. */
  #paintReview(segment) {
    const { context: c } = this;
    const left = this.#x(segment.start);
    const wide = Math.max((segment.end - segment.start) * this.scale, 2);
    const top = this.#top(segment.speaker);
    c.save();
    c.beginPath();
    c.rect(left, top + 1, wide, this.rowHeight - 4);
    c.clip();
    c.strokeStyle = this.ink.paper;
    c.globalAlpha = 0.6;
    c.lineWidth = 2;
    c.beginPath();
    const from = Math.max(left, 0) - this.rowHeight;
    for (let x = from - (from % 8); x < Math.min(left + wide, this.width); x += 8) {
      c.moveTo(x, top + this.rowHeight);
      c.lineTo(x + this.rowHeight, top);
    }
    c.stroke();
    c.restore();
    c.fillStyle = this.ink.review;
    c.fillRect(left, top + this.rowHeight - 3, wide, 2);
    c.beginPath();
    c.moveTo(left - 4, RULER - 7);
    c.lineTo(left + 4, RULER - 7);
    c.lineTo(left, RULER);
    c.fill();
  }

  /** The numbers of the people, where their list is not beside the lanes. */
  #paintMarks() {
    const { context: c } = this;
    c.font = "bold 10px system-ui, sans-serif";
    for (const label of this.people.labels) {
      const top = this.#top(label) + this.rowHeight / 2;
      c.fillStyle = this.ink.paper;
      c.fillRect(0, top - 7, 13, 14);
      c.fillStyle = this.ink.text;
      c.fillText(this.people.mark(label), 3, top);
    }
  }

  #paintWords(segment) {
    const { context: c } = this;
    const middle = this.#top(segment.speaker) + this.rowHeight / 2 - 0.5;
    c.font = `${Math.min(13, this.rowHeight * 0.55)}px system-ui, sans-serif`;
    c.fillStyle = this.ink.text;
    let free = -Infinity;
    for (const { word, start, end } of segment.words) {
      const x = this.#x(start) + 2;
      if (end < this.window.start || x > this.width) continue;
      const at = Math.max(x, free);
      if (at - x > 14) continue; // no room: it is in the transcript
      c.fillText(word, at, middle);
      free = at + c.measureText(word).width + 4;
    }
  }

  #showHead() {
    if (!this.width) return;
    const { start, end } = this.window;
    const { duration } = this.doc;
    const x = ((this.time - start) / (end - start)) * this.width;
    this.playhead.hidden = x < 0 || x > this.width;
    this.playhead.style.transform = `translateX(${x}px)`;
    const share = (time) => `${(100 * time) / Math.max(duration, 1e-9)}%`;
    this.overviewHead.style.left = share(Math.min(this.time, duration));
    this.frame.hidden = start <= 0 && end >= duration;
    this.frame.style.left = share(start);
    this.frame.style.width = share(Math.min(end, duration) - start);
    const second = Math.floor(this.time);
    if (second === this.second) return;
    this.second = second;
    this.view.setAttribute("aria-valuenow", String(second));
    this.view.setAttribute("aria-valuetext", `${spoken(second)} of ${spoken(duration)}`);
  }

  /** The marks in the overview: places to review above, places of a search below. */
  #mark() {
    const length = Math.max(this.doc.duration, 1);
    const lines = (times, from, to) => times.map((time) => `M${time.toFixed(2)} ${from}V${to}`).join("");
    const path = (d, name) => drawing("path", { d, class: name, "vector-effect": "non-scaling-stroke" });
    this.marks.replaceChildren(
      drawing(
        "svg", { viewBox: `0 0 ${length} 10`, preserveAspectRatio: "none", "aria-hidden": "true" },
        path(lines(this.review.map((segment) => segment.start), 0, 3), "review-marks"),
        path(lines(this.hits, 6, 10), "hit-marks"),
      ),
    );
  }
}
