// The transcript on the page: turns and their words, in step with the sound.

import { element, reducedMotion } from "./dom.js";
import { overlapGroups } from "./layout.js";
import { glue, runningText } from "./search.js";
import { Intervals, clock, wordAt } from "./timeline.js";

const CHUNK = 24; // segments
const AT_ONCE = 50; // segments
const DOUBTFUL_SCORE = 0.4;
const DOUBTFUL_MARGIN = 0.1;

const REASONS = {
  "overlap-unresolved": "voices could not be taken apart",
  "three-voices": "three or more spoke at once",
  "low-speaker-margin": "the voice may be another person’s",
  "possible-leak": "a voice may have been silenced here",
  "uncertain-speaker": "another person may have said this",
  "dropped-no-speech": "words were left out nearby: likely nobody spoke",
  "dropped-improbable": "words were left out nearby: none was sure",
  "dropped-repetition": "words were left out nearby: a repetition",
  "dropped-pace": "words were left out nearby: too many or too few for the time",
  "dropped-no-voice": "words were left out nearby: no voice in the sound",
};

/** A reason to listen again in words for people. */
export function reasonText(reason) {
  return REASONS[reason] ?? reason;
}

/**
 * The transcript of a document, in `list`.
 *
 * Each segment is an `<article class="segment" data-segment="INDEX">`, each word a `<span class="word"
 * data-word="INDEX">` in it. Segments that overlap in time stand side by side in a `.group`.
 */
export class TranscriptView {
  /**
   * @param {import("./people.js").People} people
   * @param {(time: number) => void} onSeek a word or a time was clicked
   */
  constructor(people, onSeek) {
    this.people = people;
    this.onSeek = onSeek;
    this.articles = [];
    this.groups = [];
    this.chunks = [];
    this.selected = null; // {segment, first, last}: the first and last selected word, or null for the whole segment
    this.listeners = [];
    this.filtered = { speaker: null, review: false };
    this.playing = new Map(); // article → its word that sounds
    this.hits = [];
    this.blank = element(
      "article", { tabindex: "-1" },
      element("header", {}, element("span"), element("span", { class: "who", dir: "auto" }), element("button", { type: "button", class: "at", tabindex: "-1" })),
      element("p", { class: "words", dir: "auto" }),
    );
    this.empty = element("p", { class: "empty", hidden: true });
    this.list = element("div", { id: "turns" }, this.empty);
    this.list.addEventListener("click", (event) => this.#clicked(event));
    this.list.addEventListener("pointerover", (event) => this.#explain(event.target));
  }

  get selectedSegment() {
    return this.selected?.segment ?? null;
  }

  /** The index of the selected word in its segment, the first one of several; null where none is selected. */
  get selectedWord() {
    return this.selected?.first ?? null;
  }

  /** The selected words as {segment, first, last}; null where none is selected. */
  get selectedWords() {
    return this.selected && this.selected.first !== null ? { ...this.selected } : null;
  }

  /** Calls the listener when another segment or word is selected. */
  onSelect(listener) {
    this.listeners.push(listener);
  }

  /** Shows another document. What is unchanged stays in place, with its scroll position and its selection. */
  render(doc) {
    const before = this.doc;
    this.doc = doc;
    this.intervals = new Intervals(doc.segments);
    const old = new Map(this.groups.map((group) => [group.segments[0], group]));
    const groups = overlapGroups(doc.segments).map(({ first, columns, places }) => {
      const segments = doc.segments.slice(first, first + places.length);
      const kept = old.get(segments[0]);
      const same = kept && kept.segments.length === segments.length && kept.segments.every((segment, i) => segment === segments[i]);
      return same ? { ...kept, first } : this.#group(segments, columns, places);
    });
    this.#place(groups);
    this.articles = groups.flatMap((group) => group.articles);
    this.articles.forEach((article, i) => this.#update(article, i));
    this.#spellLater();
    this.#keepSelection(before);
    this.filter(this.filtered);
    this.showHits([], -1);
    this.playing.clear();
  }

  /** Puts the groups on the page in chunks, and leaves the chunks at the beginning and at the end that stay. */
  #place(groups) {
    const now = this.chunks;
    const next = this.#chunked(groups);
    let head = 0;
    while (head < Math.min(now.length, next.length) && now[head] === next[head]) head++;
    let tail = 0;
    while (tail < Math.min(now.length, next.length) - head && now.at(-1 - tail) === next.at(-1 - tail)) tail++;
    const fresh = next.slice(head, next.length - tail);
    for (const chunk of now.slice(head, now.length - tail)) if (!fresh.includes(chunk)) chunk.remove();
    if (tail) next[next.length - tail].before(...fresh);
    else this.empty.before(...fresh);
    this.groups = groups;
    this.chunks = next;
  }

  /**
   * Elements of some groups each, which the browser lays out when they come near the window: it watches each of them
   * in every frame, so that there must not be too many. A group that began a chunk begins one again.
   */
  #chunked(groups) {
    const runs = [];
    let size = Infinity;
    for (const group of groups) {
      if (group.begins || size >= CHUNK) {
        group.begins = true;
        runs.push([]);
        size = 0;
      }
      runs.at(-1).push(group);
      size += group.segments.length;
    }
    const old = new Map(this.chunks.map((chunk) => [chunk.firstElementChild, chunk]));
    return runs.map((run) => {
      const boxes = run.map((group) => group.box);
      const kept = old.get(boxes[0]);
      const chunk = kept ?? element("div", { class: "chunk" });
      if (chunk.childElementCount !== boxes.length || boxes.some((box, i) => box !== chunk.children[i])) chunk.replaceChildren(...boxes);
      const lines = run.reduce((sum, group) => sum + group.lines, 0);
      if (!kept) chunk.style.setProperty("contain-intrinsic-block-size", `auto ${Math.round(lines * 26)}px`);
      return chunk;
    });
  }

  #group(segments, columns, places) {
    const articles = segments.map((segment) => this.#article(segment));
    const box = element("div", { class: segments.length > 1 ? "group together" : "group" }, ...articles);
    if (columns > 1) {
      box.classList.add(`columns-${columns}`);
      places.forEach(({ column, row, end }, i) => {
        articles[i].style.gridColumn = String(column);
        articles[i].style.gridRow = `${row} / ${end}`;
      });
    }
    const lines = segments.reduce((sum, { text }) => sum + 2.2 + Math.ceil(text.length / 80), 0) / columns;
    return { box, articles, segments, lines };
  }

  /** A segment with its words as plain text; they become elements a little later (see `#spell`). */
  #article(segment) {
    const article = this.blank.cloneNode(true);
    const [by, words] = article.children;
    article.className = `segment ${this.people.style(segment.speaker)}${segment.review.length ? " to-review" : ""}`;
    by.firstElementChild.replaceWith(this.people.swatch(segment.speaker));
    by.lastElementChild.textContent = clock(segment.start);
    if (segment.overlap) by.append(element("span", { class: "note overlap-note" }, "at the same time"));
    if (segment.margin !== null && segment.margin < DOUBTFUL_MARGIN) by.append(element("span", { class: "note" }, "voice uncertain"));
    if (segment.checked) by.append(element("span", { class: "note checked-note" }, "✓ checked"));
    if (segment.review.length) {
      by.append(element("span", { class: "note review-note" }, `Review: ${segment.review.map(reasonText).join("; ")}`));
    }
    if (segment.language) words.lang = segment.language;
    words.textContent = runningText(segment.words);
    return article;
  }

  /** Makes an element of each word of a segment, where that is not done yet. */
  #spell(index) {
    const words = this.articles[index].lastElementChild;
    if (words.firstElementChild) return;
    const nodes = [];
    this.doc.segments[index].words.forEach(({ word, score }, i, all) => {
      if (i) nodes.push(glue(all[i - 1].word, word));
      const span = document.createElement("span");
      span.className = score !== null && score < DOUBTFUL_SCORE ? "word doubtful" : "word";
      span.setAttribute("data-word", i);
      span.textContent = word;
      nodes.push(span);
    });
    words.replaceChildren(...nodes);
  }

  /** Makes the elements of all words while the browser has time, so that a long transcript is there at once. */
  #spellLater(from = 0) {
    for (let i = from; i < Math.min(from + AT_ONCE, this.articles.length); i++) this.#spell(i);
    clearTimeout(this.spelling);
    if (from + AT_ONCE < this.articles.length) this.spelling = setTimeout(() => this.#spellLater(from + AT_ONCE));
  }

  /** Writes what depends on the rest of the document: the index and the name. */
  #update(article, index) {
    const { speaker, start } = this.doc.segments[index];
    if (article.dataset.segment !== String(index)) article.dataset.segment = index;
    const [, who, button] = article.firstElementChild.children;
    const name = this.people.name(speaker);
    if (who.textContent === name) return;
    who.textContent = who.title = name;
    const at = clock(start);
    article.setAttribute("aria-label", `${name}, ${at}`);
    button.setAttribute("aria-label", `${at}, play ${name} from here`);
  }

  #keepSelection(before) {
    const { selected } = this;
    if (!selected) return this.#tabStop(0);
    const old = before?.segments[selected.segment];
    const same = this.doc.segments.indexOf(old);
    if (same >= 0) {
      this.select(same, selected.first, selected.last);
    } else {
      const index = Math.min(selected.segment, this.doc.segments.length - 1);
      if (index < 0) this.selected = null;
      else this.select(index);
    }
  }

  /** Selects a segment (`first` null) or words of it. */
  select(segment, first = null, last = first) {
    for (const marked of this.list.querySelectorAll(".selected")) marked.classList.remove("selected");
    const { length } = this.doc.segments[segment].words;
    const from = first === null ? null : Math.min(first, last, length - 1);
    const to = first === null ? null : Math.min(Math.max(first, last), length - 1);
    this.selected = { segment, first: from, last: to };
    const article = this.articles[segment];
    article.classList.add("selected");
    if (from !== null) for (let i = from; i <= to; i++) this.wordElement(segment, i).classList.add("selected");
    this.#tabStop(segment);
    for (const listener of this.listeners) listener();
  }

  /** The one segment that the Tab key reaches. */
  #tabStop(segment) {
    for (const stop of this.list.querySelectorAll('.segment[tabindex="0"]')) stop.tabIndex = -1;
    if (this.articles[segment]) this.articles[segment].tabIndex = 0;
  }

  /** The element of a word. */
  wordElement(segment, word) {
    this.#spell(segment);
    return this.articles[segment].querySelector(`[data-word="${word}"]`);
  }

  /** Says when a word was spoken, and how sure the transcriber is of it, in a tooltip. */
  #explain(target) {
    if (!target.classList.contains("word") || target.title) return;
    const { segment } = target.closest(".segment").dataset;
    const { start, score } = this.doc.segments[segment].words[target.dataset.word];
    target.title = score === null ? clock(start, 1) : `${clock(start, 1)}, sure to ${Math.round(100 * score)} %`;
  }

  #clicked(event) {
    const article = event.target.closest(".segment");
    if (!article || event.target.closest("input, textarea, [contenteditable]")) return;
    if (!getSelection().isCollapsed && !event.shiftKey) return; // text is being marked, to be copied
    const segment = Number(article.dataset.segment);
    const word = event.target.closest(".word");
    if (word && event.shiftKey && this.selectedSegment === segment && this.selectedWord !== null) {
      getSelection().removeAllRanges();
      return this.select(segment, this.selected.first, Number(word.dataset.word));
    }
    if (word) {
      const index = Number(word.dataset.word);
      this.select(segment, index);
      this.onSeek(this.doc.segments[segment].words[index].start);
    } else if (event.target.closest("header")) {
      this.select(segment);
      this.onSeek(this.doc.segments[segment].start);
    }
  }

  /** Shows only one person's segments, or only those to review. */
  filter({ speaker, review }) {
    this.filtered = { speaker, review };
    let shown = 0;
    for (const { box, articles, segments } of this.groups) {
      let some = false;
      segments.forEach((segment, i) => {
        const hidden = (speaker !== null && this.people.person(segment.speaker) !== speaker) || (review && !segment.review.length);
        if (articles[i].hidden !== hidden) articles[i].hidden = hidden;
        some ||= !hidden;
        shown += hidden ? 0 : 1;
      });
      if (box.hidden === some) box.hidden = !some;
    }
    this.list.classList.toggle("filtered", speaker !== null || review);
    this.empty.hidden = shown > 0;
    this.empty.textContent = this.doc.segments.length ? "No turn is like that." : "Nobody was understood in this recording.";
    return shown;
  }

  /** Whether the filter shows a segment. */
  shows(segment) {
    return !this.articles[segment].hidden;
  }

  /** Marks the places of a search, and the one that is looked at. */
  showHits(hits, current) {
    for (const word of this.hits) word.classList.remove("hit", "hit-current");
    this.hits = hits.flatMap((hit, n) => {
      const words = [];
      for (let i = hit.first; i <= hit.last; i++) {
        const word = this.wordElement(hit.segment, i);
        word.classList.add("hit");
        if (n === current) word.classList.add("hit-current");
        words.push(word);
      }
      return words;
    });
  }

  /** Marks what is spoken at the moment. Returns the last of the elements: the word, or the segment between words. */
  showTime(time) {
    const now = new Map();
    for (const index of this.intervals.at(time)) {
      const article = this.articles[index];
      const word = wordAt(this.doc.segments[index].words, time);
      now.set(article, word < 0 ? null : this.wordElement(index, word));
    }
    for (const [article, word] of this.playing) {
      if (!now.has(article)) article.classList.remove("current");
      if (word && now.get(article) !== word) word.classList.remove("current");
    }
    for (const [article, word] of now) {
      article.classList.add("current");
      word?.classList.add("current");
    }
    this.playing = now;
    const shown = [...now].filter(([article]) => !article.hidden).at(-1);
    return shown ? shown[1] ?? shown[0] : null;
  }

  /** Scrolls an element of the transcript into the middle of what is free of the page's bars. */
  reveal(target, { always = false } = {}) {
    const top = this.top?.() ?? 0;
    const bottom = window.innerHeight - (this.bottom?.() ?? 0);
    let box = target.getBoundingClientRect();
    if (!always && box.top >= top + 12 && box.bottom <= bottom - 0.15 * (bottom - top)) return;
    const wanted = top + 0.3 * (bottom - top);
    const far = Math.abs(box.top - wanted) > 1.5 * window.innerHeight;
    window.scrollBy({ top: box.top - wanted, behavior: far || reducedMotion() ? "instant" : "smooth" });
    if (!far) return;
    // Turns that were not laid out so far have their true height now.
    requestAnimationFrame(() => {
      box = target.getBoundingClientRect();
      if (Math.abs(box.top - wanted) > 8) window.scrollBy({ top: box.top - wanted, behavior: "instant" });
    });
  }
}
