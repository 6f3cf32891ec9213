// Built by `npm run build` of source/*.js, SHA-256 b111f5074cba91d5a1666ca1b2d0b3ce7a8003d9f700224399a2ae26f74980ed
(() => {
  // source/dom.js
  function element(tag, attributes = {}, ...children) {
    const made2 = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === false || value === null || value === void 0) continue;
      if (typeof value === "function") made2.addEventListener(name, value);
      else made2.setAttribute(name, value === true ? "" : String(value));
    }
    made2.append(...children.filter((child) => child !== null && child !== void 0));
    return made2;
  }
  function drawing(tag, attributes = {}, ...children) {
    const made2 = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made2.setAttribute(name, String(value));
    made2.append(...children);
    return made2;
  }
  var SHAPES = {
    play: "M7 4.5v15l12.5-7.5z",
    pause: "M7 5h3.6v14H7zM13.4 5H17v14h-3.6z",
    in: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
    out: "M5 11h14v2H5z",
    whole: "M3 6h2v12H3zM19 6h2v12h-2zM9 8v3h6V8l4 4-4 4v-3H9v3l-4-4z",
    previous: "M15.5 5 17 6.5 11.4 12l5.6 5.5-1.5 1.5-7-7z",
    next: "M8.5 5 7 6.5l5.600 5.500L7 17.500 8.500 19l7-7z",
    up: "M12 8l7 7-1.500 1.500L12 11l-5.500 5.500L5 15z",
    down: "M12 16l7-7-1.500-1.500L12 13 6.500 7.500 5 9z",
    sound: "M4 9.500v5h3.500L12 19V5L7.500 9.500zM15 8.600v6.800a4 4 0 0 0 0-6.800z",
    target: "M11 3h2v3.100A6 6 0 0 1 17.900 11H21v2h-3.100A6 6 0 0 1 13 17.900V21h-2v-3.100A6 6 0 0 1 6.100 13H3v-2h3.100A6 6 0 0 1 11 6.100zm1 5a4 4 0 1 0 0 8 4 4 0 0 0 0-8z"
  };
  function icon(name) {
    return drawing("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, drawing("path", { d: SHAPES[name] }));
  }
  function iconButton(name, label, attributes) {
    return element("button", { type: "button", class: "icon-button", "aria-label": label, title: label, ...attributes }, icon(name));
  }
  function reducedMotion() {
    return matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  // source/timeline.js
  function clock(seconds, decimals = 0) {
    const unit = 10 ** decimals;
    const units = Math.floor(Math.max(seconds, 0) * unit + 1e-6);
    const whole = Math.floor(units / unit);
    const hours = Math.floor(whole / 3600);
    const minutes2 = Math.floor(whole / 60) % 60;
    const rest2 = String(whole % 60).padStart(2, "0");
    const fraction = decimals ? "." + String(units % unit).padStart(decimals, "0") : "";
    return (hours ? `${hours}:${String(minutes2).padStart(2, "0")}` : String(minutes2)) + `:${rest2}${fraction}`;
  }
  function spoken(seconds) {
    const whole = Math.round(seconds);
    const parts = [[Math.floor(whole / 3600), "hour"], [Math.floor(whole / 60) % 60, "minute"], [whole % 60, "second"]];
    const said = parts.filter(([count]) => count).map(([count, unit]) => `${count} ${unit}${count === 1 ? "" : "s"}`);
    return said.join(" ") || "0 seconds";
  }
  function firstIndex(items, passes) {
    let low = 0;
    let high = items.length;
    while (low < high) {
      const middle = low + high >> 1;
      if (passes(items[middle])) high = middle;
      else low = middle + 1;
    }
    return low;
  }
  function support(spans) {
    const sorted = spans.filter((span) => span.start < span.end).sort((a, b) => a.start - b.start || a.end - b.end);
    const joined = [];
    for (const { start, end } of sorted) {
      const last = joined.at(-1);
      if (last && start <= last.end) last.end = Math.max(last.end, end);
      else joined.push({ start, end });
    }
    return joined;
  }
  function shared(lists) {
    const edges = lists.flat().flatMap(({ start, end }) => [{ time: start, change: 1 }, { time: end, change: -1 }]);
    edges.sort((a, b) => a.time - b.time || a.change - b.change);
    const pieces = [];
    let active = 0;
    let since = 0;
    for (const { time, change } of edges) {
      if (active >= 2 && time > since) pieces.push({ start: since, end: time });
      active += change;
      since = time;
    }
    return support(pieces);
  }
  function during(spans, start, end) {
    const first = firstIndex(spans, (span) => span.end > start);
    return spans.slice(first, Math.max(first, firstIndex(spans, (span) => span.start >= end)));
  }
  function total(spans) {
    return spans.reduce((sum, { start, end }) => sum + (end - start), 0);
  }
  var Intervals = class {
    constructor(items) {
      this.items = items;
      let latest2 = -Infinity;
      this.latestEnds = items.map((item) => latest2 = Math.max(latest2, item.end));
    }
    /** The indices of the items that share time with the stretch from `start` to `end`, in order. */
    overlapping(start, end) {
      const indices = [];
      for (let i = firstIndex(this.items, (item) => item.start >= end) - 1; i >= 0 && this.latestEnds[i] > start; i--) {
        if (this.items[i].end > start) indices.push(i);
      }
      return indices.reverse();
    }
    /** The indices of the items that hold the moment: begun and not over yet. */
    at(time) {
      const indices = [];
      for (let i = firstIndex(this.items, (item) => item.start > time) - 1; i >= 0 && this.latestEnds[i] > time; i--) {
        if (this.items[i].end > time) indices.push(i);
      }
      return indices.reverse();
    }
    /** The index of the last item that has begun by the moment; -1 before the first. */
    before(time) {
      return firstIndex(this.items, (item) => item.start > time) - 1;
    }
  };
  function wordAt(words, time, pause = 0.5) {
    const index = firstIndex(words, (word) => word.start > time) - 1;
    return index >= 0 && time < words[index].end + pause ? index : -1;
  }
  var SHORTEST = 2;
  function clamped({ start, end }, duration) {
    const longest = Math.max(duration, SHORTEST);
    const length2 = Math.min(Math.max(end - start, SHORTEST), longest);
    const from = Math.min(Math.max(start, 0), longest - length2);
    return { start: from, end: from + length2 };
  }
  function zoomed({ start, end }, factor, at, duration) {
    const length2 = Math.min(Math.max((end - start) * factor, SHORTEST), Math.max(duration, SHORTEST));
    const share = end > start ? (at - start) / (end - start) : 0.5;
    return clamped({ start: at - share * length2, end: at + (1 - share) * length2 }, duration);
  }
  function panned({ start, end }, by, duration) {
    return clamped({ start: start + by, end: end + by }, duration);
  }
  var STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36e3];
  function ticks({ start, end }, most) {
    const step = STEPS.find((candidate) => (end - start) / candidate <= most) ?? STEPS.at(-1);
    const times = [];
    for (let n = Math.ceil(start / step - 1e-9); n * step <= end; n++) times.push(n * step);
    return { step, times };
  }

  // source/controls.js
  var RATES = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2];
  var Controls = class {
    /** @param {import("./player.js").Player} player */
    constructor(player2) {
      this.player = player2;
      this.button = element("button", { type: "button", class: "play", "aria-label": "Play", title: "Play (Space)", click: () => player2.toggle() }, icon("play"));
      this.back = iconButton("previous", "5 seconds back (←)", { click: () => player2.seek(player2.time - 5) });
      this.ahead = iconButton("next", "5 seconds ahead (→)", { click: () => player2.seek(player2.time + 5) });
      this.moment = element("span", { class: "moment" });
      this.length = element("span", { class: "length" });
      this.speed = element(
        "select",
        { class: "speed", "aria-label": "Speed", title: "Speed ([ and ])", change: () => player2.setRate(Number(this.speed.value)) },
        ...RATES.map((rate) => element("option", { value: rate, selected: rate === 1 }, `${rate}×`))
      );
      this.bar = element(
        "div",
        { class: "controls", role: "group", "aria-label": "Sound" },
        this.back,
        this.button,
        this.ahead,
        element("span", { class: "clock", role: "timer", "aria-live": "off" }, this.moment, this.length),
        this.speed
      );
      if (!player2.hasSound) {
        this.button.disabled = this.speed.disabled = true;
        this.button.title = "This page has no sound";
      }
      player2.addEventListener("state", () => this.#showState());
      player2.addEventListener("time", () => this.showTime());
    }
    /** Shows the moment that is played, and the meeting's length. */
    showTime() {
      const text = clock(this.player.time, 1);
      if (this.moment.textContent !== text) this.moment.textContent = text;
      const length2 = ` / ${clock(this.player.duration)}`;
      if (this.length.textContent !== length2) this.length.textContent = length2;
    }
    /** The next faster (1) or slower (-1) speed. */
    stepRate(by) {
      const now = RATES.findIndex((rate) => rate >= this.player.rate);
      this.player.setRate(RATES[Math.min(Math.max(now + by, 0), RATES.length - 1)]);
    }
    #showState() {
      const { playing, rate } = this.player;
      this.button.replaceChildren(icon(playing ? "pause" : "play"));
      this.button.setAttribute("aria-label", playing ? "Pause" : "Play");
      this.button.title = playing ? "Pause (Space)" : "Play (Space)";
      this.speed.value = String(rate);
    }
  };

  // source/search.js
  var UNSPACED = [["぀", "ヿ"], ["㐀", "鿿"], ["＀", "￯"], ["฀", "๿"]];
  function glue(before, after) {
    if (!(before.charCodeAt(before.length - 1) >= 3584)) return " ";
    return unspaced(before.at(-1)) && unspaced(after[0]) ? "" : " ";
  }
  function unspaced(letter) {
    return letter !== void 0 && UNSPACED.some(([first, last]) => first <= letter && letter <= last);
  }
  function runningText(words) {
    let text = words[0]?.word ?? "";
    for (let i = 1; i < words.length; i++) text += glue(words[i - 1].word, words[i].word) + words[i].word;
    return text;
  }
  function normalised(text) {
    const plain2 = text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
    return plain2.replace(/[\u2018\u2019\u02bc]/g, "'").replace(/[\u201c\u201d]/g, '"').replace(/\s+/g, " ");
  }
  var texts = /* @__PURE__ */ new WeakMap();
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
  function search(segments, query) {
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

  // source/corrections.js
  var BLANKS = /[\s\x00-\x20\x7f-\xa0\u2028\u2029]+/u;
  var CorrectionError = class extends Error {
    name = "CorrectionError";
  };
  function renamePerson(doc, speaker, name) {
    requireSpeaker(doc, speaker);
    const written = name.split(BLANKS).filter(Boolean).join(" ");
    const person2 = written === "" || written === speaker ? null : written;
    if (person2 !== null && Object.hasOwn(doc.speakers, person2)) {
      throw new CorrectionError(`“${person2}” is the label of another person: choose another name.`);
    }
    if (doc.speakers[speaker] === person2) return doc;
    return { ...doc, speakers: { ...doc.speakers, [speaker]: person2 } };
  }
  function suggestedName(doc, speaker) {
    const match = Object.hasOwn(doc.voices ?? {}, speaker) ? doc.voices[speaker] : null;
    if (match?.decision !== "suggested" || doc.speakers[speaker] !== null) return null;
    return typeof match.name === "string" && match.name.trim() !== "" ? match.name : null;
  }
  function addPerson(doc, taken = []) {
    const numbers2 = [...Object.keys(doc.speakers), ...taken].map((label) => Number(/^SPEAKER_(\d+)$/.exec(label)?.[1] ?? -1));
    const speaker = `SPEAKER_${String(Math.max(-1, ...numbers2) + 1).padStart(2, "0")}`;
    return { document: { ...doc, speakers: { ...doc.speakers, [speaker]: null } }, speaker };
  }
  function moveWords(doc, index, first, last, speaker) {
    const segment = segmentAt(doc, index);
    requireSpeaker(doc, speaker);
    requireWord(segment, first);
    requireWord(segment, last);
    if (first > last) throw new CorrectionError("The first of the words comes after the last.");
    if (speaker === segment.speaker) return doc;
    const parts = [
      [segment.words.slice(0, first), segment.speaker],
      [segment.words.slice(first, last + 1), speaker],
      [segment.words.slice(last + 1), segment.speaker]
    ];
    const moved = new Set(parts[1][0]);
    const turns = withMovedTurns(doc, segment.speaker, speaker, moved);
    return withSegments({ ...doc, turns }, index, 1, parts.filter(([words]) => words.length > 0).map(
      ([words, who]) => segmentOf(segment, words, who)
    ), doc.turns);
  }
  function changeWords(doc, index, first, last, text) {
    const segment = segmentAt(doc, index);
    requireWord(segment, first);
    requireWord(segment, last);
    const old = segment.words.slice(first, last + 1);
    const texts2 = text.split(BLANKS).filter(Boolean);
    if (texts2.length === old.length && texts2.every((one, number) => one === old[number].word)) return doc;
    const before = segment.words[first - 1];
    const after = segment.words[last + 1];
    const words = old.length === 1 ? inTheTimeOf(old, texts2, before, after) : aligned(old, texts2, before, after);
    const all = [...segment.words.slice(0, first), ...words, ...segment.words.slice(last + 1)];
    return withSegments(doc, index, 1, all.length > 0 ? [segmentOf(segment, all, segment.speaker)] : []);
  }
  function aligned(old, texts2, before, after) {
    const lengths = Array.from({ length: old.length + 1 }, () => new Uint16Array(texts2.length + 1));
    for (let i = old.length - 1; i >= 0; i--) {
      for (let j = texts2.length - 1; j >= 0; j--) {
        lengths[i][j] = old[i].word === texts2[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
      }
    }
    const words = [];
    let run = { old: [], texts: [] };
    const finish = (next) => {
      words.push(...inTheTimeOf(run.old, run.texts, words.at(-1) ?? before, next));
      run = { old: [], texts: [] };
    };
    for (let i = 0, j = 0; i < old.length || j < texts2.length; ) {
      if (i < old.length && j < texts2.length && old[i].word === texts2[j]) {
        finish(old[i]);
        words.push(old[i]);
        i += 1;
        j += 1;
      } else if (j >= texts2.length || i < old.length && lengths[i + 1][j] >= lengths[i][j + 1]) run.old.push(old[i++]);
      else run.texts.push(texts2[j++]);
    }
    finish(after);
    return words;
  }
  function inTheTimeOf(old, texts2, before, after) {
    if (texts2.length === 0) return [];
    if (old.length === texts2.length) return old.map((word, number) => ({ ...word, word: texts2[number], score: null }));
    const neighbour = before ?? after;
    const start = old.length > 0 ? old[0].start : before?.end ?? neighbour.start;
    const end = Math.max(start, old.length > 0 ? latest(old) : after?.start ?? start);
    const at = (number) => number === texts2.length ? end : start + number * (end - start) / texts2.length;
    return texts2.map((word, number) => ({
      ...old[0] ?? neighbour,
      word,
      start: at(number),
      end: at(number + 1),
      score: null
    }));
  }
  function splitSegment(doc, index, wordIndex) {
    const segment = segmentAt(doc, index);
    requireWord(segment, wordIndex);
    if (wordIndex === 0) throw new CorrectionError("A segment is split before a word inside it, not before its first.");
    return withSegments(doc, index, 1, [
      segmentOf(segment, segment.words.slice(0, wordIndex), segment.speaker),
      segmentOf(segment, segment.words.slice(wordIndex), segment.speaker)
    ]);
  }
  function nextOfSamePerson(doc, index) {
    const { speaker } = segmentAt(doc, index);
    return doc.segments.findIndex((other, number) => number > index && other.speaker === speaker);
  }
  function joinSegments(doc, index) {
    const segment = segmentAt(doc, index);
    const follower = nextOfSamePerson(doc, index);
    if (follower < 0) throw new CorrectionError("No later segment of this person is there to be joined.");
    const next = doc.segments[follower];
    const words = [...segment.words, ...next.words];
    if (segment.words.at(-1).start > next.words[0].start) words.sort((a, b) => a.start - b.start || a.end - b.end);
    const margins = [segment.margin, next.margin].filter((margin) => margin !== null && margin !== void 0);
    const { checked, ...base } = segment;
    const joined = {
      ...base,
      source: segment.source === "separated" ? segment.source : next.source,
      margin: margins.length > 0 ? Math.min(...margins) : null,
      ...joinedReview(segment, next)
    };
    const without = { ...doc, segments: doc.segments.filter((_, number) => number !== follower) };
    return withSegments(without, index, 1, [segmentOf(joined, words, segment.speaker)]);
  }
  function mergePeople(doc, from, into) {
    requireSpeaker(doc, from);
    requireSpeaker(doc, into);
    if (from === into) throw new CorrectionError("Choose two people: these are the same.");
    const { [from]: name, ...speakers2 } = doc.speakers;
    if (speakers2[into] === null) speakers2[into] = name;
    const own = doc.turns.filter((turn) => turn.speaker === from).map((turn) => ({ ...turn, speaker: into }));
    const turns = withJoinedTurns(doc.turns.filter((turn) => turn.speaker !== from), own, into);
    const segments = doc.segments.map(
      (segment) => segment.speaker === from ? segmentOf(segment, segment.words, into) : segment
    );
    const changed = new Set(segments.filter((segment, number) => segment !== doc.segments[number]));
    const merged = { ...doc, speakers: speakers2, turns, segments: segments.sort(byTime) };
    if (doc.voices) {
      const others = Object.entries(doc.voices).filter(([label]) => label !== from && label !== into);
      if (others.length > 0) merged.voices = Object.fromEntries(others);
      else delete merged.voices;
    }
    return withOverlaps(merged, doc.turns, changed);
  }
  function isChecked(segment) {
    return Array.isArray(segment.checked);
  }
  function markChecked(doc, index, checked) {
    const segment = segmentAt(doc, index);
    if (isChecked(segment) === checked) return doc;
    const { checked: reasons, ...rest2 } = segment;
    const marked = checked ? { ...rest2, review: [], checked: [...segment.review] } : { ...rest2, review: [.../* @__PURE__ */ new Set([...segment.review, ...reasons])] };
    return { ...doc, segments: doc.segments.map((other, number) => number === index ? marked : other) };
  }
  function joinWords(texts2) {
    return texts2.reduce((text, word) => text + (text === "" ? "" : glue(text, word)) + word, "");
  }
  function segmentOf(base, words, speaker) {
    return {
      ...base,
      start: words[0].start,
      end: latest(words),
      text: joinWords(words.map((word) => word.word)),
      speaker,
      margin: speaker === base.speaker ? base.margin : null,
      words: words.map((word) => word.speaker === speaker ? word : { ...word, speaker })
    };
  }
  function latest(words) {
    return words.reduce((end, word) => Math.max(end, word.end), words[0].end);
  }
  function joinedReview(a, b) {
    const reasons = (segment) => [...segment.review, ...segment.checked ?? []];
    const all = [.../* @__PURE__ */ new Set([...reasons(a), ...reasons(b)])];
    const isFine = [a, b].every((segment) => isChecked(segment) || segment.review.length === 0);
    return isFine && (isChecked(a) || isChecked(b)) ? { review: [], checked: all } : { review: all };
  }
  function withSegments(doc, index, count, segments, before = doc.turns) {
    const all = [...doc.segments.slice(0, index), ...segments, ...doc.segments.slice(index + count)];
    const old = doc.segments[index];
    const isMoved = (segment) => segment.start !== old.start || segment.end !== old.end || segment.speaker !== old.speaker;
    return withOverlaps({ ...doc, segments: all.sort(byTime) }, before, new Set(segments.filter(isMoved)));
  }
  function compare(a, b) {
    return a < b ? -1 : Number(a > b);
  }
  function withOverlaps(doc, before, changed) {
    const old = new Set(before);
    const now = new Set(doc.turns);
    const differing = [...before.filter((turn) => !now.has(turn)), ...doc.turns.filter((turn) => !old.has(turn))];
    const first = differing.reduce((time, turn) => Math.min(time, turn.start), Infinity);
    const last = differing.reduce((time, turn) => Math.max(time, turn.end), -Infinity);
    const isOverlapped = overlapsIn(doc.turns);
    const wasOverlapped = differing.length > 0 ? overlapsIn(before) : isOverlapped;
    const segments = doc.segments.map((segment) => {
      const isNear = segment.start < last && segment.end > first;
      if (!changed.has(segment) && !isNear) return segment;
      const overlap = isOverlapped(segment);
      if (!changed.has(segment) && overlap === wasOverlapped(segment)) return segment;
      return overlap === segment.overlap ? segment : { ...segment, overlap };
    });
    return { ...doc, segments };
  }
  function overlapsIn(turns) {
    const everyone = counterOf(turns);
    const own = /* @__PURE__ */ new Map();
    for (const turn of turns) {
      if (!own.has(turn.speaker)) own.set(turn.speaker, []);
      own.get(turn.speaker).push(turn);
    }
    const counters = new Map([...own].map(([speaker, list2]) => [speaker, counterOf(list2)]));
    return (segment) => everyone(segment) > (counters.get(segment.speaker)?.(segment) ?? 0);
  }
  function counterOf(turns) {
    const counted = turns.filter((turn) => turn.start < turn.end);
    const starts = Float64Array.from(counted, (turn) => turn.start).sort();
    const ends = Float64Array.from(counted, (turn) => turn.end).sort();
    return ({ start, end }) => Math.max(firstIndex(starts, (time) => time >= end) - firstIndex(ends, (time) => time > start), 0);
  }
  function withMovedTurns(doc, from, to, moved) {
    const words = doc.segments.filter((segment) => segment.speaker === from).flatMap((segment) => segment.words);
    words.sort((a, b) => a.start - b.start || a.end - b.end);
    const times = [...moved];
    const first = Math.min(...times.map((word) => word.start));
    const last = latest(times);
    const rest2 = [];
    const pieces = [];
    for (const turn of doc.turns) {
      const isNear = turn.speaker === from && turn.start <= last && turn.end >= first;
      const inside = isNear ? words.filter((word) => isInside(word, turn)) : [];
      if (!inside.some((word) => moved.has(word))) {
        rest2.push(turn);
        continue;
      }
      let start = turn.start;
      inside.forEach((word, number) => {
        const next = inside[number + 1];
        if (next !== void 0 && moved.has(next) === moved.has(word)) return;
        const edge = next === void 0 ? turn.end : moved.has(word) ? word.end : next.start;
        const end = Math.min(Math.max(edge, start), turn.end);
        if (start < end) (moved.has(word) ? pieces : rest2).push({ ...turn, start, end });
        start = end;
      });
    }
    return withJoinedTurns(rest2, pieces.map((piece) => ({ ...piece, speaker: to })), to);
  }
  function isInside(word, turn) {
    const middle = (word.start + word.end) / 2;
    return turn.start <= middle && middle <= turn.end;
  }
  function withJoinedTurns(turns, pieces, speaker) {
    const further = new Set(pieces);
    const own = [...turns.filter((turn) => turn.speaker === speaker), ...pieces].sort(byTime);
    const joined = [];
    let holdsPiece = false;
    for (const turn of own) {
      const last = joined.at(-1);
      if (last !== void 0 && turn.start <= last.end && (holdsPiece || further.has(turn))) {
        joined[joined.length - 1] = { ...last, end: Math.max(last.end, turn.end) };
        holdsPiece = true;
      } else {
        joined.push(turn);
        holdsPiece = further.has(turn);
      }
    }
    return [...turns.filter((turn) => turn.speaker !== speaker), ...joined].sort(byTime);
  }
  function byTime(a, b) {
    return a.start - b.start || a.end - b.end || compare(a.speaker, b.speaker);
  }
  function segmentAt(doc, index) {
    const segment = doc.segments[index];
    if (segment === void 0) throw new CorrectionError("That segment is not there any more.");
    return segment;
  }
  function requireWord(segment, wordIndex) {
    const word = segment.words[wordIndex];
    if (word === void 0) throw new CorrectionError("That word is not there any more.");
    return word;
  }
  function requireSpeaker(doc, speaker) {
    if (!Object.hasOwn(doc.speakers, speaker)) throw new CorrectionError("That person is not there any more.");
  }

  // source/drafts.js
  var PREFIX = "meetsplit:draft:";
  var VERSION = 1;
  function draftKey(text) {
    return `${PREFIX}${hash(text, 0)}${hash(text, 1)}`;
  }
  function hash(text, seed) {
    let a = 3735928559 ^ seed;
    let b = 1103547991 ^ seed;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      a = Math.imul(a ^ code, 2654435761);
      b = Math.imul(b ^ code, 1597334677);
    }
    a = Math.imul(a ^ a >>> 16, 2246822507) ^ Math.imul(b ^ b >>> 13, 3266489909);
    b = Math.imul(b ^ b >>> 16, 2246822507) ^ Math.imul(a ^ a >>> 13, 3266489909);
    return (4294967296 * (2097151 & b) + (a >>> 0)).toString(36).padStart(11, "0");
  }
  function differences(original, doc) {
    const changed = {};
    for (const key of Object.keys(doc)) {
      if (doc[key] === original[key]) continue;
      changed[key] = Array.isArray(doc[key]) && Array.isArray(original[key]) ? { runs: runs(original[key], doc[key]) } : { value: doc[key] };
    }
    return changed;
  }
  function withDifferences(original, changed) {
    const doc = { ...original };
    for (const [key, change] of Object.entries(changed)) {
      doc[key] = "runs" in change ? change.runs.flatMap((run) => Array.isArray(run) ? original[key].slice(run[0], run[1]) : [run.item]) : change.value;
    }
    return doc;
  }
  function runs(originals, items) {
    const places = new Map(originals.map((item, at) => [item, at]));
    const found = [];
    for (const item of items) {
      const at = places.get(item);
      const last = found.at(-1);
      if (at === void 0) found.push({ item });
      else if (Array.isArray(last) && last[1] === at) last[1] = at + 1;
      else found.push([at, at + 1]);
    }
    return found;
  }
  var Drafts = class {
    #storage;
    #key;
    #original;
    constructor(storage2, key, original) {
      this.#storage = storage2;
      this.#key = key;
      this.#original = original;
    }
    /** The key of the draft. */
    get key() {
      return this.#key;
    }
    /** The draft that was kept: {document, at: Date, isSaved}; null where there is none that can be read. */
    load() {
      try {
        const draft = JSON.parse(this.#storage.getItem(this.#key));
        if (draft?.version !== VERSION) return null;
        const document2 = withDifferences(this.#original, draft.changed);
        return { document: document2, at: new Date(draft.at), isSaved: draft.isSaved === true };
      } catch {
        return null;
      }
    }
    /** Keep a document, or nothing where it is the original; returns whether that worked. `isSaved`: it is in a file, too. */
    keep(doc, isSaved = false) {
      if (doc === this.#original) return this.discard();
      const changed = differences(this.#original, doc);
      const draft = JSON.stringify({ version: VERSION, at: (/* @__PURE__ */ new Date()).toISOString(), isSaved, changed });
      for (; ; ) {
        try {
          this.#storage.setItem(this.#key, draft);
          return true;
        } catch {
          if (!this.#makeRoom()) return false;
        }
      }
    }
    /** Forget the draft; returns whether that worked. */
    discard() {
      try {
        this.#storage.removeItem(this.#key);
        return true;
      } catch {
        return false;
      }
    }
    /** Remove the oldest draft of another transcript that is in a file as well; false where there is none. */
    #makeRoom() {
      try {
        const others = [];
        for (let number = 0; number < this.#storage.length; number++) {
          const key = this.#storage.key(number);
          if (!key.startsWith(PREFIX) || key === this.#key) continue;
          const draft = JSON.parse(this.#storage.getItem(key));
          if (draft.isSaved === true) others.push({ key, at: draft.at });
        }
        others.sort((a, b) => a.at < b.at ? -1 : 1);
        if (others.length === 0) return false;
        this.#storage.removeItem(others[0].key);
        return true;
      } catch {
        return false;
      }
    }
  };

  // source/menu.js
  var Menu = class {
    constructor() {
      this.box = element("div", { role: "menu", class: "menu", hidden: true, keydown: (event) => this.#pressed(event) });
      document.body.append(this.box);
      addEventListener("pointerdown", (event) => !this.box.hidden && !this.box.contains(event.target) && this.close(), true);
      addEventListener("resize", () => this.close());
    }
    /**
     * Opens the menu with sections of items, each [heading, items], beside `place`, with the focus on an item of that number.
     * When it closes, the focus returns to `anchor`.
     */
    open(anchor, label, sections, focused = 0, place2 = anchor) {
      this.close();
      this.anchor = anchor;
      this.items = [];
      const parts = sections.map(
        ([heading, items]) => element("div", { role: "group", "aria-label": heading }, heading ? element("p", { "aria-hidden": "true" }, heading) : null, ...items.map((item) => this.#item(item)))
      );
      this.box.replaceChildren(...parts);
      this.box.setAttribute("aria-label", label);
      this.box.hidden = false;
      this.#place(place2.getBoundingClientRect());
      anchor.setAttribute("aria-expanded", "true");
      this.items[Math.min(focused, this.items.length - 1)].button.focus({ preventScroll: true });
    }
    /** Closes the menu; the focus goes back to where it was opened, unless it is elsewhere already. */
    close() {
      if (this.box.hidden) return;
      const hadFocus = this.box.contains(document.activeElement);
      this.box.hidden = true;
      this.anchor.removeAttribute("aria-expanded");
      if (hadFocus && this.anchor.isConnected) this.anchor.focus({ preventScroll: true });
    }
    #item(item) {
      const isRadio = item.checked !== void 0;
      const button = element(
        "button",
        {
          type: "button",
          role: isRadio ? "menuitemradio" : "menuitem",
          tabindex: -1,
          click: () => this.#choose(item),
          ...isRadio ? { "aria-checked": String(item.checked) } : {},
          ...item.key ? { "aria-keyshortcuts": item.key } : {}
        },
        item.mark ?? null,
        element("span", { dir: "auto" }, item.label),
        item.key ? element("kbd", { "aria-hidden": "true" }, item.key) : null
      );
      this.items.push({ ...item, button });
      return button;
    }
    #choose(item) {
      this.close();
      item.run();
    }
    #place({ left, top: top2, bottom }) {
      const { offsetWidth: width2, offsetHeight: height } = this.box;
      const below = bottom + 4 + height <= innerHeight || top2 < height;
      this.box.style.left = `${Math.max(8, Math.min(left, innerWidth - width2 - 8))}px`;
      this.box.style.top = `${Math.max(8, Math.min(below ? bottom + 4 : top2 - 4 - height, innerHeight - height - 8))}px`;
    }
    #pressed(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const { key } = event;
      const at = this.items.findIndex(({ button }) => button === document.activeElement);
      const count = this.items.length;
      const steps = { ArrowDown: at + 1, ArrowUp: at - 1 + count, Home: 0, End: count - 1 };
      const chosen = this.items.find((item) => item.key === key);
      if (key in steps) this.items[steps[key] % count].button.focus({ preventScroll: true });
      else if (key === "Escape" || key === "Tab") this.close();
      else if (chosen) this.#choose(chosen);
      else if (key !== "Enter" && key !== " ") return;
      event.stopPropagation();
      if (key !== "Enter" && key !== " ") event.preventDefault();
    }
  };

  // source/people_dialog.js
  var PeopleDialog = class {
    /**
     * @param {import("./people.js").People} people
     * @param {{onRename: (speaker: string, name: string) => void, onMerge: (from: string, into: string) => void, onAdd: () => void}} actions
     */
    constructor(people2, actions) {
      this.people = people2;
      this.actions = actions;
      this.rows = element("ul");
      this.dialog = element(
        "dialog",
        { id: "people-dialog", "aria-labelledby": "people-title" },
        element(
          "header",
          {},
          element("h2", { id: "people-title" }, "People"),
          element("button", { type: "button", click: () => this.dialog.close() }, "Close")
        ),
        this.rows,
        element("button", { type: "button", click: () => this.#add() }, "Add a person"),
        element("p", {}, "A name holds for the whole transcript. “Same as” makes one person of two, with all that both say; Undo takes it back.")
      );
      this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
      document.body.append(this.dialog);
    }
    open() {
      this.render();
      this.dialog.showModal();
      this.rows.querySelector("input")?.focus();
    }
    /** Shows the people as they are now. */
    render() {
      const focused = document.activeElement?.closest?.("#people-dialog li")?.dataset.speaker;
      const labels = this.people.everyone;
      this.rows.replaceChildren(...labels.map((label) => this.#row(label, labels)));
      if (focused) (this.#field(focused) ?? this.rows.querySelector("input"))?.focus();
    }
    #row(label, labels) {
      const name = this.people.name(label);
      const field = element("input", {
        type: "text",
        value: this.people.doc.speakers[label] ?? "",
        placeholder: label,
        "aria-label": `Name of ${name}`,
        autocomplete: "off",
        change: () => this.actions.onRename(label, field.value),
        keydown: (event) => event.key === "Enter" && (event.preventDefault(), field.blur(), this.#field(label)?.focus())
      });
      const same = element(
        "select",
        { "aria-label": `Make ${name} the same person as`, disabled: labels.length < 2, change: () => this.actions.onMerge(label, same.value) },
        element("option", { value: "" }, "Same as…"),
        ...labels.filter((other) => other !== label).map((other) => element("option", { value: other }, this.people.name(other)))
      );
      const suggested = suggestedName(this.people.doc, label);
      const suggestion = suggested === null ? [] : [
        element("button", { type: "button", class: "suggestion", click: () => this.actions.onRename(label, suggested) }, `May be ${suggested}, by voice: use this name`)
      ];
      return element("li", { "data-speaker": label }, this.people.swatch(label), field, same, ...suggestion);
    }
    #field(label) {
      return [...this.rows.children].find((row2) => row2.dataset.speaker === label)?.querySelector("input");
    }
    #add() {
      this.actions.onAdd();
      this.rows.lastElementChild?.querySelector("input").focus();
    }
  };

  // source/texts.js
  function namesOf(doc) {
    const labels = new Set([...doc.turns, ...doc.segments].map(({ speaker }) => speaker));
    return new Map([...labels].sort().map((label) => [label, oneLine(doc.speakers[label] ?? label) || oneLine(label) || "?"]));
  }
  var BLANKS2 = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g;
  function oneLine(text) {
    return text.replace(BLANKS2, " ").replace(/\p{Cc}/gu, "").replace(/ +/g, " ").replace(/^ | $/g, "");
  }
  var SENTENCE_ENDS = new Set(".!?…。！？؟۔।");
  function endsSentence(text) {
    return SENTENCE_ENDS.has([...text.replace(/["'”’»)\]」』]+$/u, "")].at(-1));
  }
  var WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
  function width(text) {
    let columns = 0;
    for (const letter of text) columns += /[\p{Mn}\p{Me}\p{Cf}]/u.test(letter) ? 0 : WIDE.test(letter) ? 2 : 1;
    return columns;
  }
  function milliseconds(seconds) {
    const exact = seconds * 1e3;
    const below = Math.floor(exact);
    if (exact - below !== 0.5) return Math.round(exact);
    return below % 2 === 0 ? below : below + 1;
  }
  function stamp(at, mark = ".") {
    return `${clock2(at)}${mark}${String(at % 1e3).padStart(3, "0")}`;
  }
  function clock2(at) {
    const seconds = Math.floor(at / 1e3);
    const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
    return parts.map((part) => String(part).padStart(2, "0")).join(":");
  }
  function wrapped(words, most) {
    let text = words[0];
    let used = width(text);
    words.slice(1).forEach((word, number) => {
      const blank = glue(words[number], word);
      if (used + blank.length + width(word) > most) {
        text += `
${word}`;
        used = width(word);
      } else {
        text += blank + word;
        used += blank.length + width(word);
      }
    });
    return text;
  }

  // source/persons.js
  function folded(name) {
    return oneLine(name).normalize("NFC").toUpperCase().toLowerCase().replaceAll("ς", "σ").normalize("NFC");
  }
  function personLabels(doc) {
    const speaking = new Set([...doc.turns, ...doc.segments].map(({ speaker }) => speaker));
    const silent = Object.keys(doc.speakers ?? {}).filter((label) => !speaking.has(label));
    const firsts = /* @__PURE__ */ new Map();
    const pairs = [...[...speaking].sort(), ...silent.sort()].map((label) => {
      const name = folded(doc.speakers?.[label] ?? "");
      if (name !== "" && !firsts.has(name)) firsts.set(name, label);
      return [label, firsts.get(name) ?? label];
    });
    return new Map(pairs.sort(([a], [b]) => a < b ? -1 : 1));
  }
  function byPerson(doc) {
    const others = [...personLabels(doc)].filter(([label, person2]) => label !== person2);
    return others.reduce((merged, [label, person2]) => mergePeople(merged, label, person2), doc);
  }

  // source/subtitles.js
  var LONGEST_CUE = 7e3;
  var CUE_PAUSE = 600;
  var SHORTEST_CUE = 1e3;
  var LEAST_CUE = 100;
  var LINGER = 1e3;
  var GAP = 83;
  var LINE = 42;
  var LINES = 2;
  var COLORS = ["#FFFFFF", "#F0E442", "#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#999999"];
  function toSrt(document2) {
    const doc = byPerson(document2);
    const names = namesOf(doc);
    const shown = inTurn(cuesOf(doc, names), milliseconds(doc.duration));
    return shown.map((cue, number) => {
      const speakers2 = [...new Set(cue.words.map((word) => word.speaker))];
      const lines = speakers2.flatMap((speaker) => {
        const texts2 = cue.words.filter((word) => word.speaker === speaker).map((word) => word.text);
        return broken([`${speakers2.length > 1 ? "- " : ""}${names.get(speaker)}:`, ...texts2]);
      });
      return `${number + 1}
${stamp(cue.start, ",")} --> ${stamp(cue.end, ",")}
${lines.map(plain).join("\n")}
`;
    }).join("\n");
  }
  function toVtt(document2) {
    const doc = byPerson(document2);
    const names = namesOf(doc);
    const cues = cuesOf(doc, names);
    const next = /* @__PURE__ */ new Map();
    const blocks = [];
    for (const cue of cues.reverse()) {
      const [{ speaker }] = cue.words;
      const end = lingered(cue, next.get(speaker) ?? milliseconds(doc.duration) + GAP);
      next.set(speaker, cue.start);
      const text = broken([`${names.get(speaker)}:`, ...cue.words.map((word) => word.text)]).map(markup).join("\n");
      const voice = markup(names.get(speaker));
      blocks.unshift([cue.start, 1, `${stamp(cue.start)} --> ${stamp(end)}
<v ${voice}>${text}
`]);
    }
    for (const segment of doc.segments.filter(({ review: review2 }) => review2.length > 0)) {
      const start = milliseconds(segment.start);
      const when = `${clock2(start)}–${clock2(milliseconds(segment.end) + 999)}`;
      const note = oneLine(`NOTE check ${when} ${segment.speaker} ${segment.review.join(", ")}`);
      blocks.push([start, 0, `${note.replace(/-{2,}>/g, "->")}
`]);
    }
    blocks.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const voices = [...new Set(names.values())];
    const rules = voices.map((name, number) => `::cue(v[voice=${css(name)}]) { color: ${COLORS[number % COLORS.length]} }
`);
    const style = voices.length > 1 ? [`STYLE
${rules.join("")}`] : [];
    return ["WEBVTT\n", ...style, ...blocks.map(([, , text]) => text)].join("\n");
  }
  function cuesOf(doc, names) {
    const cues = [];
    for (const segment of doc.segments) {
      const most = LINE * LINES - width(`${names.get(segment.speaker)}: `);
      let words = [];
      let columns = 0;
      const finish = () => {
        if (words.length > 0) cues.push({ start: words[0].start, end: Math.max(...words.map((word) => word.end)), words });
        words = [];
        columns = 0;
      };
      for (const word of segment.words) {
        const text = oneLine(word.word);
        if (text === "") continue;
        const [start, end] = [milliseconds(word.start), milliseconds(word.end)];
        const last = words.at(-1);
        if (last !== void 0) {
          const isFull = columns + 1 + width(text) > most || end - words[0].start > LONGEST_CUE;
          const isSentence = endsSentence(last.text) && columns > most / 3;
          if (isFull || isSentence || start - last.end > CUE_PAUSE) finish();
        }
        words.push({ start, end, text, speaker: segment.speaker });
        columns += (columns > 0 ? 1 : 0) + width(text);
      }
      finish();
    }
    return cues.sort((a, b) => a.start - b.start || a.end - b.end);
  }
  function inTurn(cues, duration) {
    const shown = [];
    for (const cue of cues) {
      const last = shown.at(-1);
      const since = last === void 0 ? Infinity : cue.start - last.start;
      if (since < LEAST_CUE || cue.start < last?.end && since < SHORTEST_CUE + GAP) {
        last.words = [...last.words, ...cue.words];
        last.end = Math.max(last.end, cue.end);
      } else if (last !== void 0 && cue.start < last.end) {
        const late = last.words.filter((word) => word.start >= cue.start);
        last.words = last.words.filter((word) => word.start < cue.start);
        shown.push({ start: cue.start, end: Math.max(cue.end, ...late.map((word) => word.end)), words: [...cue.words, ...late] });
        last.end = cue.start;
      } else {
        shown.push({ ...cue });
      }
    }
    shown.forEach((cue, number) => {
      cue.end = lingered(cue, shown[number + 1]?.start ?? duration + GAP);
    });
    return shown;
  }
  function lingered(cue, next) {
    const wanted = Math.min(Math.max(cue.end, cue.start + SHORTEST_CUE), cue.end + LINGER);
    return Math.max(Math.min(wanted, next - GAP), Math.min(cue.end, next), cue.start + 1);
  }
  function broken(words) {
    const columns = width(joinWords(words));
    const count = Math.max(1, Math.ceil(columns / LINE));
    const text = wrapped(words, Math.max(Math.ceil(columns / count) + 3, ...words.map(width)));
    return (text.split("\n").length > count ? wrapped(words, LINE) : text).split("\n");
  }
  function plain(text) {
    return text.replace(/-{2,}>/g, "->").replaceAll("{\\", "(\\").replace(/<(\/?[A-Za-z][^<>]*)>/g, "‹$1›");
  }
  function markup(text) {
    return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  }
  function css(text) {
    return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll(">", "\\3e ")}"`;
  }

  // source/writers.js
  var WORDS = "words";
  var FLOATS = /* @__PURE__ */ new Set(["start", "end", "duration", "score", "margin"]);
  var CONTROLS = /[\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]/g;
  function toJson(doc) {
    const words = doc.segments.flatMap((segment) => segment.words);
    const { turns, made_by: madeBy, word_segments: before, ...rest2 } = { ...doc, language: languageOf(doc) };
    const { schema, recording, duration, language, speakers: speakers2, segments, ...others } = rest2;
    const parts = [
      ...Object.entries({ schema, recording, duration, language, speakers: speakers2 }).map(([key, value]) => [key, row(value, key)]),
      ["segments", rows(segments.map(segmentRow))],
      ["turns", rows(turns.map((turn) => row(turn)))],
      ["word_segments", rows(words.map((word) => row(word)))],
      ["made_by", row(madeBy)],
      ...Object.entries(others).map(([key, value]) => [key, row(value)])
    ];
    const text = `{
${parts.map(([key, value]) => `  ${JSON.stringify(key)}: ${value}`).join(",\n")}
}
`;
    return text.replace(CONTROLS, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
  }
  function segmentRow(segment) {
    const { [WORDS]: words, ...fields } = segment;
    return `${row(fields).slice(0, -1)}, "words": [${words.map((word) => row(word)).join(", ")}]}`;
  }
  function rows(items) {
    return items.length > 0 ? `[
    ${items.join(",\n    ")}
  ]` : "[]";
  }
  function row(value, key = "") {
    if (typeof value === "number") return FLOATS.has(key) ? float(value) : String(value);
    if (Array.isArray(value)) return `[${value.map((item) => row(item)).join(", ")}]`;
    if (value !== null && typeof value === "object") {
      return `{${Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${row(item, name)}`).join(", ")}}`;
    }
    return JSON.stringify(value ?? null);
  }
  function float(value) {
    if (Number.isInteger(value) && Math.abs(value) < 1e16) return `${Object.is(value, -0) ? "-0" : value}.0`;
    const size = Math.abs(value);
    const text = size < 1e-4 || size >= 1e16 ? value.toExponential() : String(value);
    return text.replace(/e([+-])(\d)$/, "e$10$2");
  }
  function languageOf(doc) {
    const counts = /* @__PURE__ */ new Map();
    for (const { language, words } of doc.segments) {
      if (language !== null) counts.set(language, (counts.get(language) ?? 0) + words.length);
    }
    return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))[0]?.[0] ?? null;
  }
  var PARAGRAPH_PAUSE = 2;
  var LONG_PARAGRAPH = 60;
  var OVERLAP = "//";
  var TOUCH = 100;
  var TEXT_WIDTH = 80;
  function toTxt(document2) {
    const doc = byPerson(document2);
    const names = namesOf(doc);
    const texts2 = paragraphs(doc).map(
      ({ speaker, start, tokens }) => wrapped([`[${clock2(milliseconds(start))}] ${names.get(speaker)}:`, ...tokens], TEXT_WIDTH)
    );
    return texts2.map((text) => `${text}
`).join("\n");
  }
  function toMarkdown(document2) {
    const doc = byPerson(document2);
    const names = namesOf(doc);
    const all = paragraphs(doc);
    if (all.length === 0) return "";
    const blocks = [`# ${escaped(oneLine(doc.recording)) || "Transcript"}`];
    if (all.some(({ isOverlapped }) => isOverlapped)) blocks.push(`*Words between ${OVERLAP} are said while another person speaks.*`);
    all.forEach(({ speaker, start, tokens }, number) => {
      if (speaker !== all[number - 1]?.speaker) blocks.push(`## ${escaped(names.get(speaker))}`);
      blocks.push(`**[${clock2(milliseconds(start))}]** ${escaped(joinWords(tokens))}`);
    });
    return `${blocks.join("\n\n")}
`;
  }
  function escaped(text) {
    return text.replace(/[\\`*_[\]{}<>#|~&!$^]/g, "\\$&");
  }
  function paragraphs(doc) {
    const covered2 = overlaps(doc);
    return groups(doc.segments).flatMap((segments) => {
      const words = segments.flatMap((segment) => segment.words).filter((word) => oneLine(word.word) !== "");
      if (words.length === 0) return [];
      const flags = words.map(covered2);
      const tokens = words.map((word, number) => {
        const opening = flags[number] && !flags[number - 1] ? OVERLAP : "";
        const closing = flags[number] && !flags[number + 1] ? OVERLAP : "";
        return `${opening}${oneLine(word.word)}${closing}`;
      });
      return [{ speaker: segments[0].speaker, start: segments[0].start, tokens, isOverlapped: flags.includes(true) }];
    });
  }
  function overlaps(doc) {
    const own = /* @__PURE__ */ new Map();
    for (const { speaker, words } of doc.segments) {
      if (!own.has(speaker)) own.set(speaker, []);
      own.get(speaker).push(...words);
    }
    const together = shared([...own.values()].map((words) => support(words)));
    return ({ start, end }) => {
      let common = 0;
      for (const span of during(together, start, end)) common += Math.min(span.end, end) - Math.max(span.start, start);
      return milliseconds(common) > Math.min(TOUCH, Math.floor(milliseconds(end - start) / 2));
    };
  }
  function groups(segments) {
    const found = [];
    for (const segment of segments) {
      const last = found.at(-1);
      if (last === void 0 || beginsParagraph(segment, last)) found.push([segment]);
      else last.push(segment);
    }
    return found;
  }
  function beginsParagraph(segment, paragraph) {
    const before = paragraph.at(-1);
    if (segment.speaker !== before.speaker || segment.start - before.end >= PARAGRAPH_PAUSE) return true;
    return segment.start - paragraph[0].start >= LONG_PARAGRAPH && endsSentence(before.text);
  }

  // source/saving.js
  var FORMATS = [
    ["Subtitles (SRT)", "srt", "application/x-subrip", toSrt],
    ["Subtitles for the web (WebVTT)", "vtt", "text/vtt", toVtt],
    ["Text", "txt", "text/plain", toTxt],
    ["Markdown, for a word processor", "md", "text/markdown", toMarkdown]
  ];
  var Saving = class {
    /**
     * @param {import("./history.js").History} history
     * @param {import("./drafts.js").Drafts} drafts
     * @param {(sentence: string) => void} announce
     */
    constructor(history2, drafts, announce2) {
      this.history = history2;
      this.drafts = drafts;
      this.announce = announce2;
      this.saved = history2.document;
      this.isKept = true;
      this.text = element("span");
      this.discard = element("button", { type: "button", hidden: true, click: () => this.#discard() }, "Discard them");
      this.note = element("p", { id: "correct-note", hidden: true }, this.text, this.discard);
      this.name = fileName(history2.document);
      history2.onChange(() => this.#changed());
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
    #say(sentence2, isWarning = false) {
      this.text.textContent = sentence2;
      this.note.hidden = sentence2 === "";
      this.note.classList.toggle("warning", isWarning);
    }
  };
  function fileName(doc) {
    try {
      const page2 = decodeURIComponent(location.pathname.split("/").pop());
      if (/\.html?$/i.test(page2)) return page2.replace(/\.html?$/i, "");
    } catch {
    }
    return doc.recording || "transcript";
  }
  function quoted(name) {
    return /^[\w.-]+$/.test(name) ? name : `"${name.replace(/(["\\$`])/g, "\\$1")}"`;
  }
  function download(name, type, text) {
    const address2 = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
    const link = element("a", { href: address2, download: name, hidden: true });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address2), 6e4);
  }

  // source/text_field.js
  function editText({ hidden, text, label, multiline = false, onDone, onTab }) {
    const field = element(multiline ? "textarea" : "input", {
      class: "edited",
      "aria-label": label,
      spellcheck: "true",
      autocomplete: "off",
      autocapitalize: "off",
      ...multiline ? { rows: 1 } : { type: "text" }
    });
    let isOver = false;
    const finish = (written) => {
      if (isOver) return;
      isOver = true;
      field.remove();
      for (const one of hidden) one.hidden = false;
      onDone(written);
    };
    const fit = () => {
      if (multiline) {
        field.style.height = "auto";
        field.style.height = `${field.scrollHeight + 2}px`;
      } else {
        field.style.width = `${Math.max(4, field.value.length + 2)}ch`;
      }
    };
    field.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter") finish(field.value);
      else if (event.key === "Escape") finish(null);
      else if (event.key === "Tab" && onTab) {
        finish(field.value);
        onTab(event.shiftKey ? -1 : 1);
      } else return;
      event.preventDefault();
      event.stopPropagation();
    });
    field.addEventListener("input", fit);
    field.addEventListener("blur", () => finish(field.value));
    for (const type of ["click", "dblclick", "pointerdown"]) field.addEventListener(type, (event) => event.stopPropagation());
    field.value = text;
    hidden[0].before(field);
    for (const one of hidden) one.hidden = true;
    fit();
    field.focus({ preventScroll: true });
    if (!multiline) field.select();
  }

  // source/correcting.js
  function attachCorrecting(page2) {
    const correcting = new Correcting(page2);
    page2.history.onChange(() => correcting.render());
    correcting.saving.restore();
    correcting.render();
  }
  var Correcting = class {
    constructor({ history: history2, view: view2, people: people2, keyboard: keyboard2, legend, bar: bar2, announce: announce2, text, tracks: tracks2 = [] }) {
      Object.assign(this, { history: history2, view: view2, people: people2, legend, announce: announce2, tracks: tracks2 });
      this.menu = new Menu();
      this.saving = new Saving(history2, new Drafts(storage(), draftKey(text), history2.document), announce2);
      this.dialog = new PeopleDialog(people2, {
        onRename: (speaker, name) => this.#rename(speaker, name),
        onMerge: (from, into) => this.#merge(from, into),
        onAdd: () => this.#apply("adding a person", (doc) => addPerson(doc, this.tracks).document)
      });
      this.buttons = this.#buttons();
      this.problem = element("span", { class: "problem", role: "alert" });
      bar2.append(...Object.values(this.buttons), this.problem);
      bar2.after(this.saving.note);
      bar2.addEventListener("keydown", (event) => this.#stepButtons(event));
      view2.onSelect(() => this.#showSelection());
      view2.list.addEventListener("dblclick", (event) => this.#doubleClicked(event));
      legend.addEventListener("dblclick", (event) => this.#legendAsked(event));
      legend.addEventListener("keydown", (event) => ["F2", "Enter", " "].includes(event.key) && this.#legendAsked(event));
      this.#addKeys(keyboard2);
    }
    #buttons() {
      const button = (id, label, title2, click) => element("button", { type: "button", id: `correct-${id}`, title: title2, click }, label);
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
        more: button("more", "Save as…", "Save it as subtitles or as text", () => this.#openSave())
      };
    }
    #addKeys(keyboard2) {
      keyboard2.add("Correcting", [
        { keys: ["Enter"], label: "Edit the selected words, or the turn", run: () => this.#edit() },
        { keys: ["m"], shown: "M 1…9", label: "Give it to another person", run: () => this.#openMove() },
        { keys: ["s"], label: "Begin a new turn with the word", run: () => this.#split() },
        { keys: ["j"], label: "Join with the person’s next turn", run: () => this.#join() },
        { keys: ["c"], label: "Mark as checked, or no longer", run: () => this.#check() },
        { keys: ["F2"], label: "Rename the person", run: () => this.#renameSelected() },
        { keys: ["Delete", "Backspace"], label: "Remove the selected words", run: () => this.#remove() },
        { keys: ["Ctrl+z"], shown: "Ctrl Z", label: "Undo", run: () => this.#undo() },
        { keys: ["Ctrl+Shift+z", "Ctrl+y"], shown: "Ctrl Shift Z", label: "Redo", run: () => this.#redo() },
        { keys: ["Ctrl+s"], shown: "Ctrl S", label: "Save the corrected transcript", run: () => this.saving.save() }
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
      for (const row2 of this.legend.querySelectorAll("li[data-speaker]")) this.#showSuggestion(row2);
      if (this.dialog.dialog.open) this.dialog.render();
      this.#showSelection();
    }
    /** Shows beside a person without a name who it may be, as a button that makes it the name. */
    #showSuggestion(row2) {
      const label = row2.dataset.speaker;
      const name = suggestedName(this.history.document, label);
      const shown = row2.querySelector(".suggestion");
      if (shown?.dataset.name === (name ?? void 0)) return;
      const hadFocus = shown !== null && shown === document.activeElement;
      shown?.remove();
      row2.classList.toggle("suggests", name !== null);
      if (name !== null) {
        const title2 = `${this.people.name(label)} may be ${name}, by voice: use this name`;
        row2.querySelector(".name").after(element("button", {
          type: "button",
          class: "suggestion",
          dir: "auto",
          title: title2,
          "aria-label": title2,
          "data-name": name,
          click: () => this.#rename(label, name)
        }, element("span", {}, name), "?"));
      }
      if (hadFocus) row2.querySelector(".name").focus();
    }
    #showSelection() {
      const { segment, first } = this.#selection();
      const { undo, redo, edit, move, split, join, check } = this.buttons;
      const { history: history2 } = this;
      undo.disabled = !history2.canUndo;
      undo.title = history2.canUndo ? `Undo: ${history2.undoes} (Ctrl+Z)` : "Undo (Ctrl+Z)";
      redo.disabled = !history2.canRedo;
      redo.title = history2.canRedo ? `Redo: ${history2.redoes} (Ctrl+Shift+Z)` : "Redo (Ctrl+Shift+Z)";
      edit.disabled = move.disabled = check.disabled = segment === null;
      split.disabled = segment === null || !first;
      join.disabled = segment === null || nextOfSamePerson(history2.document, segment) < 0;
      const checked = segment !== null && isChecked(history2.document.segments[segment]);
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
    #apply(description, correct, place2 = () => null) {
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
      const found = doc === before ? null : place2(doc, before);
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
        onTab: (by) => this.#editNext(by)
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
        }
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
        }
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
      const place2 = anchor ?? (first === null ? this.view.articles[segment] : this.view.wordElement(segment, first));
      const home = anchor ?? this.view.articles[segment];
      const text = first === null ? "" : short(wordsText(words.slice(first, last + 1)));
      const ranges = { turn: [0, words.length - 1], words: [first, last], rest: [first, words.length - 1] };
      const scopes = first === null || words.length === 1 ? [] : [
        ["turn", "The whole turn"],
        ["words", last > first ? `The words “${text}”` : `The word “${text}”`],
        ["rest", `From “${short(words[first].word)}” to the end`]
      ].filter(([kind]) => kind !== "rest" || first > 0 && last < words.length - 1);
      const move = (to) => this.#move(segment, ...ranges[chosen], to);
      const everyone = this.people.labels.map((label) => ({
        label: this.people.name(label),
        mark: this.people.swatch(label),
        run: () => move(label),
        .../^\d$/.test(this.people.mark(label)) ? { key: this.people.mark(label) } : {}
      })).filter((_, number) => this.people.labels[number] !== this.people.person(speaker));
      this.menu.open(home, "Who says it", [
        ...scopes.length > 0 ? [["What", scopes.map(([kind, label]) => ({ label, checked: kind === chosen, run: () => this.#openMove(anchor, kind) }))]] : [],
        ["Who says it", [...everyone, { label: "A new person", run: () => move(null) }]]
      ], scopes.length, place2);
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
      const row2 = name?.closest("li[data-speaker]");
      if (!row2 || event.target.closest("input")) return;
      event.preventDefault();
      event.stopPropagation();
      this.#editName(name, row2.dataset.speaker, () => row2.isConnected && row2.querySelector(".name").focus());
    }
    #renameSelected() {
      const { segment } = this.#selection();
      if (segment === null) return;
      this.#editName(this.view.articles[segment].querySelector(".who"), this.#segment().speaker, () => this.#focus());
    }
    #editName(place2, speaker, onEnd) {
      editText({
        hidden: [place2],
        text: this.history.document.speakers[speaker] ?? "",
        label: `Name of ${this.people.name(speaker)}`,
        onDone: (name) => {
          if (name !== null) this.#rename(speaker, name, this.people.labelsOf(speaker));
          onEnd();
        }
      });
    }
    // The bar
    #openSave() {
      this.menu.open(this.buttons.more, "Save as", [
        ["", FORMATS.map((format) => ({ label: format[0], run: () => this.saving.saveAs(format) }))],
        ["For subtitles with all rules: meetsplit export", [{ label: "Corrected transcript (JSON)", run: () => this.saving.save() }]]
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
  };
  function storage() {
    try {
      return localStorage;
    } catch {
      return null;
    }
  }
  function firstNew(doc, other) {
    const known = new Set(other.segments);
    return doc.segments.findIndex((segment) => !known.has(segment));
  }
  function newAt(doc, before, time, speaker = null) {
    const known = new Set(before.segments);
    const segment = doc.segments.findIndex(
      (one) => !known.has(one) && one.words.some(({ start }) => start === time) && (speaker === null || one.speaker === speaker)
    );
    return segment < 0 ? null : { segment };
  }
  function wordsText(words) {
    return words.map(({ word }) => word).join(" ");
  }
  function short(text) {
    return text.length > 30 ? `${text.slice(0, 28).trimEnd()}…` : text;
  }
  function sentence(text) {
    return text.charAt(0).toUpperCase() + text.slice(1);
  }

  // source/document.js
  function readDocument(page2) {
    return JSON.parse(page2.getElementById("transcript").textContent);
  }
  function readSound(page2) {
    return JSON.parse(page2.getElementById("sound").textContent);
  }

  // source/follow.js
  var SCROLLING_KEYS = /* @__PURE__ */ new Set(["PageUp", "PageDown", "Home", "End"]);
  var Follow = class {
    /**
     * @param {import("./transcript_view.js").TranscriptView} view
     * @param {import("./player.js").Player} player
     * @param {HTMLElement} bars the part of the page in which scrolling is no reading
     */
    constructor(view2, player2, bars) {
      this.view = view2;
      this.player = player2;
      this.on = true;
      this.toggle = element("button", { type: "button", id: "follow", "aria-pressed": "true", title: "Scroll with the sound (F)", click: () => this.set(!this.on) }, "Follow");
      this.back = element("button", { type: "button", id: "back-to-sound", hidden: true, click: () => this.set(true) }, "Back to the sound");
      const scrolled = (event) => {
        if (!bars.contains(event.target) && player2.playing) this.set(false);
      };
      addEventListener("wheel", scrolled, { passive: true });
      addEventListener("touchmove", scrolled, { passive: true });
      addEventListener("keydown", (event) => SCROLLING_KEYS.has(event.key) && player2.playing && this.set(false));
      addEventListener("pointerdown", (event) => event.target === document.documentElement && scrolled(event));
      player2.addEventListener("state", () => this.#show());
    }
    set(on) {
      this.on = on;
      this.#show();
      if (on && this.target?.isConnected) this.view.reveal(this.target, { always: true });
    }
    /** Takes the element that is spoken now, and brings it into view where the page follows. */
    show(target) {
      if (!target || target === this.target) return;
      this.target = target;
      if (this.on && this.player.playing) this.view.reveal(target);
    }
    #show() {
      this.toggle.setAttribute("aria-pressed", String(this.on));
      this.back.hidden = this.on || !this.player.playing;
    }
  };

  // source/history.js
  var History = class {
    #states;
    #at = 0;
    #listeners = /* @__PURE__ */ new Set();
    constructor(doc) {
      this.#states = [{ description: "", document: doc }];
    }
    /** The document as it is now. */
    get document() {
      return this.#states[this.#at].document;
    }
    /** The document as it was at first. */
    get original() {
      return this.#states[0].document;
    }
    /** How many corrections lead from the document as it was to the one that it is. */
    get count() {
      return this.#at;
    }
    /** Make a correction: `description` says it in a few words. A document that is the same already is none. */
    apply(description, newDoc) {
      if (newDoc === this.document) return;
      this.#states.splice(this.#at + 1, Infinity, { description, document: newDoc });
      this.#go(this.#at + 1);
    }
    /** Take the latest correction back; returns its description, or null where there is none. */
    undo() {
      const { undoes } = this;
      if (undoes !== null) this.#go(this.#at - 1);
      return undoes;
    }
    /** Make the correction again that was undone last; returns its description, or null where there is none. */
    redo() {
      const { redoes } = this;
      if (redoes !== null) this.#go(this.#at + 1);
      return redoes;
    }
    get canUndo() {
      return this.#at > 0;
    }
    get canRedo() {
      return this.#at < this.#states.length - 1;
    }
    /** The description of the correction that `undo` takes back, or null. */
    get undoes() {
      return this.canUndo ? this.#states[this.#at].description : null;
    }
    /** The description of the correction that `redo` makes again, or null. */
    get redoes() {
      return this.canRedo ? this.#states[this.#at + 1].description : null;
    }
    /** Call `listener` with this history after every change; returns a function that ends it. */
    onChange(listener) {
      this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    }
    #go(at) {
      this.#at = at;
      for (const listener of [...this.#listeners]) listener(this);
    }
  };

  // source/keyboard.js
  var Keyboard = class {
    /** @param {Node[]} marks what else the help explains */
    constructor(marks2) {
      this.marks = marks2;
      this.groups = /* @__PURE__ */ new Map();
      this.actions = /* @__PURE__ */ new Map();
      this.dialog = element("dialog", { id: "help", "aria-labelledby": "help-title" });
      this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
      document.addEventListener("keydown", (event) => this.#pressed(event));
      document.addEventListener("pointerdown", () => this.pointed = true);
    }
    /**
     * Adds keys under a heading of the help.
     * @param {string} group
     * @param {Key[]} keys
     */
    add(group, keys) {
      this.groups.set(group, [...this.groups.get(group) ?? [], ...keys]);
      for (const key of keys) for (const name of key.keys) this.actions.set(name, key);
    }
    /** Shows the list of keys. */
    help() {
      const lists = [...this.groups].map(
        ([group, keys]) => element(
          "section",
          {},
          element("h3", {}, group),
          element("dl", {}, ...keys.flatMap((key) => [element("dt", {}, ...shownKeys(key)), element("dd", {}, key.label)]))
        )
      );
      this.dialog.replaceChildren(
        element("header", {}, element("h2", { id: "help-title" }, "Keys"), element("button", { type: "button", autofocus: true, click: () => this.dialog.close() }, "Close")),
        element("div", { class: "groups" }, ...lists, ...this.marks),
        element("p", {}, "This page needs no network and sends nothing: what you hear, read and change stays in this browser.")
      );
      this.dialog.showModal();
    }
    #pressed(event) {
      if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
      const { target } = event;
      const typing = target.closest?.("input:not([type=range], [type=checkbox]), textarea, [contenteditable]");
      const modified = event.ctrlKey || event.metaKey || event.altKey;
      if (typing && !modified) return;
      if (event.key === "Tab") this.pointed = false;
      if (event.key === " " && this.pointed && target.closest?.("button, summary, input")) target.blur();
      const focused = document.activeElement;
      const key = this.actions.get(this.#name(event)) ?? (event.shiftKey && event.key.length === 1 ? this.actions.get(event.key) : void 0);
      if (!key || needsKey(focused, event.key) && !modified || typing && !key.whileTyping) return;
      event.preventDefault();
      key.run(event);
    }
    #name(event) {
      const parts = [];
      if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
      if (event.altKey) parts.push("Alt");
      if (event.shiftKey) parts.push("Shift");
      const digit = /^Digit(\d)$/.exec(event.code);
      parts.push(digit ? digit[1] : event.key.length === 1 ? event.key.toLowerCase() : event.key);
      return parts.join("+");
    }
  };
  function needsKey(target, key) {
    if (!(target instanceof Element)) return false;
    if (target.closest("select, [role=menu], [role=listbox]")) return key.length === 1 || key.startsWith("Arrow") || key === "Enter";
    if (target.closest("button, summary, a[href], input[type=checkbox]")) return key === " " || key === "Enter";
    return target.closest("input[type=range]") ? key.startsWith("Arrow") : false;
  }
  function shownKeys({ keys, shown }) {
    const names = shown ? shown.split(" ") : [keys[0]];
    return names.map((name) => element("kbd", {}, name.length === 1 ? name.toUpperCase() : name));
  }

  // source/numbers.js
  var PAUSE = 2;
  var BACKCHANNEL = 1;
  var MINUTE = 60;
  var MOST_STRETCHES = 1440;
  function numbers(document2) {
    const doc = byPerson(document2);
    const speech = speechBySpeaker(doc);
    const words = /* @__PURE__ */ new Map();
    for (const { speaker, words: said } of doc.segments) words.set(speaker, (words.get(speaker) ?? 0) + said.length);
    const spans = [...speech.values()].flat();
    const starts = spans.map((span) => span.start).sort(ascending);
    const ends = spans.map((span) => span.end).sort(ascending);
    const together = shared([...speech.values()]);
    const everyone = [...speech.values()].reduce((sum, own) => sum + total(own), 0);
    const people2 = [...speech].map(([speaker, own]) => {
      const seconds = total(own);
      const said = words.get(speaker) ?? 0;
      return {
        speaker,
        seconds: rounded(seconds, 3),
        share: everyone ? rounded(seconds / everyone, 4) : 0,
        turns: own.length,
        words: said,
        words_per_minute: seconds ? rounded(60 * said / seconds, 1) : null,
        overlapped_seconds: rounded(own.reduce((sum, span) => sum + covered(together, span.start, span.end), 0), 3),
        // Begun before and not over yet is another person's turn: a person's own stretches lie apart.
        interruptions: own.filter((span) => begunBefore(starts, span.start) > overBy(ends, span.start)).length,
        longest_monologue: rounded(longestMonologue(speaker, speech), 3)
      };
    });
    return { people: people2, minutes: minutes(doc.duration, speech) };
  }
  function speechBySpeaker(doc) {
    const turns = /* @__PURE__ */ new Map();
    for (const turn of doc.turns) {
      if (!turns.has(turn.speaker)) turns.set(turn.speaker, []);
      turns.get(turn.speaker).push(turn);
    }
    const speakers2 = /* @__PURE__ */ new Set([...turns.keys(), ...doc.segments.map((segment) => segment.speaker)]);
    return new Map([...speakers2].sort().map((speaker) => [speaker, support(turns.get(speaker) ?? [])]));
  }
  function longestMonologue(speaker, speech) {
    const long = (span) => span.end - span.start >= BACKCHANNEL;
    const others = support([...speech].flatMap(([other, own]) => other === speaker ? [] : own.filter(long)));
    let longest = 0;
    for (const { start, end } of withPausesFilled(speech.get(speaker))) {
      let from = start;
      for (const other of during(others, start, end)) {
        longest = Math.max(longest, other.start - from);
        from = other.end;
      }
      longest = Math.max(longest, end - from);
    }
    return longest;
  }
  function withPausesFilled(spans) {
    const joined = [];
    for (const { start, end } of spans) {
      const last = joined.at(-1);
      if (last && start - last.end <= PAUSE) last.end = end;
      else joined.push({ start, end });
    }
    return joined;
  }
  function minutes(duration, speech) {
    const last = Math.max(duration, ...[...speech.values()].map((own) => own.at(-1)?.end ?? 0));
    const length2 = MINUTE * Math.max(Math.ceil(last / MINUTE / MOST_STRETCHES), 1);
    const rows2 = [];
    for (let start = 0; start < last; start += length2) {
      const end = Math.min(start + length2, last);
      const seconds = Object.fromEntries([...speech].map(([speaker, own]) => [speaker, rounded(covered(own, start, end), 3)]));
      rows2.push({ start, end, seconds });
    }
    return rows2;
  }
  function covered(spans, start, end) {
    const parts = during(spans, start, end);
    return parts.reduce((sum, span) => sum + Math.min(span.end, end) - Math.max(span.start, start), 0);
  }
  function begunBefore(starts, time) {
    return firstIndex(starts, (start) => start >= time);
  }
  function overBy(ends, time) {
    return firstIndex(ends, (end) => end > time);
  }
  function ascending(a, b) {
    return a - b;
  }
  function rounded(value, decimals) {
    const unit = 10 ** decimals;
    const scaled = value * unit;
    const tie = Math.abs(scaled % 1) === 0.5 && scaled / unit === value;
    return tie ? 2 * Math.round(scaled / 2) / unit : Number(value.toFixed(decimals));
  }

  // source/people.js
  var COLOURS = 8;
  var People = class {
    constructor() {
      this.slots = /* @__PURE__ */ new Map();
      this.swatches = /* @__PURE__ */ new Map();
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
      const person2 = this.person(label);
      if (!this.swatches.has(person2)) {
        this.swatches.set(person2, element("span", { class: `swatch ${this.style(person2)}`, "aria-hidden": "true" }, this.mark(person2)));
      }
      return this.swatches.get(person2).cloneNode(true);
    }
  };
  var PeopleList = class {
    /**
     * @param {People} people
     * @param {import("./player.js").Player} player
     */
    constructor(people2, player2) {
      this.people = people2;
      this.player = player2;
      this.list = element("ul", { id: "people", "aria-label": "People" });
      player2.addEventListener("mix", () => this.#showMix());
    }
    /** Shows the people of the document that `people` holds; rows of people who stay are kept. */
    render() {
      const rows2 = new Map([...this.list.children].map((row2) => [row2.dataset.speaker, row2]));
      const { labels } = this.people;
      const wanted = labels.map((label) => rows2.get(label) ?? this.#row(label));
      if (wanted.length !== this.list.children.length || wanted.some((row2, i) => row2 !== this.list.children[i])) {
        this.list.replaceChildren(...wanted);
      }
      wanted.forEach((row2) => this.#showName(row2));
      this.#showMix();
    }
    #row(label) {
      const own = this.player.mix.voices.has(label);
      const name = element("span", { class: "name", dir: "auto" });
      const row2 = element("li", { "data-speaker": label, class: this.people.style(label) }, this.people.swatch(label), name);
      if (!own) return row2;
      row2.append(
        element("button", { type: "button", class: "solo", "aria-pressed": "false", click: () => this.player.toggleSolo(label) }, "Solo"),
        element("button", { type: "button", class: "mute", "aria-pressed": "false", click: () => this.#toggleMute(label) }, "Mute"),
        element("input", {
          type: "range",
          class: "volume",
          min: 0,
          max: 1,
          step: 0.05,
          value: 1,
          input: (event) => this.player.change(label, { volume: Number(event.target.value) })
        })
      );
      return row2;
    }
    #toggleMute(label) {
      this.player.change(label, { muted: !this.player.mix.voices.get(label).muted });
    }
    #showName(row2) {
      const label = row2.dataset.speaker;
      const name = this.people.name(label);
      const shown = row2.querySelector(".name");
      if (shown.textContent !== name && !shown.querySelector("input")) shown.textContent = name;
      shown.title = name;
      const controls2 = { ".solo": `Solo: hear ${name} alone`, ".mute": `Mute ${name}`, ".volume": `Volume of ${name}` };
      for (const [selector, title2] of Object.entries(controls2)) {
        const control = row2.querySelector(selector);
        if (!control) continue;
        control.title = title2;
        control.setAttribute("aria-label", title2);
      }
    }
    #showMix() {
      for (const row2 of this.list.children) {
        const voice = this.player.mix.voices.get(row2.dataset.speaker);
        if (!voice) continue;
        row2.querySelector(".solo").setAttribute("aria-pressed", String(voice.solo));
        row2.querySelector(".mute").setAttribute("aria-pressed", String(voice.muted));
        const slider = row2.querySelector(".volume");
        slider.value = String(voice.volume);
        slider.setAttribute("aria-valuetext", `${Math.round(voice.volume * 100)} %`);
        row2.classList.toggle("silent", this.player.mix.gain(row2.dataset.speaker) === 0);
      }
    }
  };
  function lanesDrawing(doc, people2) {
    const speech = speechBySpeaker(doc);
    const length2 = Math.max(doc.duration, 1);
    const rows2 = people2.labels.map((label2, row2) => {
      const bars = (speech.get(label2) ?? []).map(({ start, end }) => {
        const width2 = Math.max(end - start, length2 / 2e3);
        return `M${start.toFixed(2)} ${row2 + 0.12}h${width2.toFixed(2)}v.76h-${width2.toFixed(2)}z`;
      });
      return drawing("path", { d: bars.join(""), class: people2.style(label2) });
    });
    const label = `Who spoke when, in ${clock(doc.duration)}`;
    return drawing(
      "svg",
      { class: "lanes-drawing", viewBox: `0 0 ${length2} ${people2.labels.length}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
      ...rows2
    );
  }

  // source/lanes.js
  var RULER = 26;
  var FIRST_WINDOW = 120;
  var WORDS_FROM = 70;
  var DRAG = 4;
  var Lanes = class {
    /**
     * @param {import("./people.js").People} people
     * @param {(time: number) => void} onSeek
     */
    constructor(people2, onSeek) {
      this.people = people2;
      this.onSeek = onSeek;
      this.time = 0;
      this.hits = [];
      this.#makeOverview();
      this.#makeView();
      this.zoomButtons = element(
        "div",
        { class: "zoom", role: "group", "aria-label": "Zoom of the lanes" },
        iconButton("out", "Zoom out (-)", { click: () => this.zoom(2) }),
        iconButton("in", "Zoom in (+)", { click: () => this.zoom(0.5) }),
        iconButton("whole", "Whole meeting", { click: () => this.show({ start: 0, end: this.doc.duration }) })
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
      this.overview.addEventListener("pointercancel", () => from = null);
    }
    #makeView() {
      this.canvas = element("canvas", { "aria-hidden": "true" });
      this.playhead = element("div", { class: "playhead" });
      this.hover = element("div", { class: "hover", "aria-hidden": "true" });
      this.view = element(
        "div",
        { class: "lanes", role: "slider", tabindex: "0", "aria-label": "Moment of the meeting", "aria-valuemin": "0" },
        this.canvas,
        this.playhead,
        this.hover
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
      this.rows = new Map(this.people.labels.map((label, row2) => [label, row2]));
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
      const length2 = end - start;
      const inside = this.time >= start && this.time <= end;
      const jumped = Math.abs(time - this.time) > 1;
      this.time = time;
      const edge = start + 0.95 * length2;
      if (jumped && (time < start || time > edge) || inside && time > edge && end < this.doc.duration) {
        this.show({ start: time - 0.1 * length2, end: time + 0.9 * length2 });
      }
      this.#showHead();
    }
    /** Marks moments in the overview, such as the places of a search. */
    showHits(times) {
      this.hits = times;
      this.#mark();
    }
    /** Shows a window of time. */
    show(window2) {
      this.window = clamped(window2, this.doc.duration);
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
      const length2 = before.end - before.start;
      const next = sideways ? panned(before, delta * unit * length2 / this.width, this.doc.duration) : zoomed(before, Math.exp(delta * unit * (event.ctrlKey ? 0.01 : 25e-4)), this.#timeAt(event.clientX), this.doc.duration);
      const same = Math.abs(next.start - before.start) < 1e-9 && Math.abs(next.end - before.end) < 1e-9;
      if (same && !event.ctrlKey && !sideways) return;
      event.preventDefault();
      this.show(next);
    }
    #followPointers() {
      const pointers = /* @__PURE__ */ new Map();
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
      this.view.addEventListener("pointerleave", () => this.hover.hidden = true);
    }
    #drag(start, xs) {
      const { window: window2 } = start;
      const length2 = window2.end - window2.start;
      if (xs.length === 1) {
        const moved = xs[0] - start.xs[0];
        if (!start.moved && Math.abs(moved) < DRAG) return;
        start.moved = true;
        this.show(panned(window2, -moved * length2 / this.width, this.doc.duration));
      } else {
        start.moved = true;
        const [a, b] = start.xs;
        const factor = Math.max(Math.abs(a - b), 10) / Math.max(Math.abs(xs[0] - xs[1]), 10);
        const left = this.view.getBoundingClientRect().left;
        const at = window2.start + ((a + b) / 2 - left) * length2 / this.width;
        const moved = (xs[0] + xs[1] - a - b) / 2;
        const next = zoomed(window2, factor, at, this.doc.duration);
        this.show(panned(next, -moved * (next.end - next.start) / this.width, this.doc.duration));
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
      this.fills = /* @__PURE__ */ new Map();
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
      const { context: c, width: width2, height } = this;
      if (!height) return;
      const { start, end } = this.window;
      this.scale = width2 / (end - start);
      this.rowHeight = (height - RULER) / Math.max(this.rows.size, 1);
      c.clearRect(0, 0, width2, height);
      this.#paintRuler();
      c.fillStyle = this.ink.band;
      for (const span of during(this.together, start, end)) {
        c.fillRect(this.#x(span.start), RULER, Math.max((span.end - span.start) * this.scale, 1), height - RULER);
      }
      c.fillStyle = this.ink.line;
      for (let row2 = 0; row2 <= this.rows.size; row2++) c.fillRect(0, Math.round(RULER + row2 * this.rowHeight), width2, 1);
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
      const top2 = this.#top(label) + Math.max(this.rowHeight * 0.14, 2);
      const tall = this.rowHeight - 2 * Math.max(this.rowHeight * 0.14, 2) + 1;
      c.fillStyle = this.fillOf(label);
      c.beginPath();
      for (const span of spans) {
        const left = this.#x(span.start);
        const wide = Math.max((span.end - span.start) * this.scale - 0.5, 1.2);
        if (words) c.rect(left, top2 + tall - 3, wide, 3);
        else if (wide > 5) c.roundRect(left, top2, wide, tall, 2.5);
        else c.rect(left, top2, wide, tall);
      }
      c.fill();
      if (!words) return;
      c.globalAlpha = 0.22;
      for (const span of spans) c.fillRect(this.#x(span.start), top2, (span.end - span.start) * this.scale, tall - 3);
      c.globalAlpha = 1;
    }
    /** Stripes on the segment's bar, a line below it and a flag on the ruler. */
    #paintReview(segment) {
      const { context: c } = this;
      const left = this.#x(segment.start);
      const wide = Math.max((segment.end - segment.start) * this.scale, 2);
      const top2 = this.#top(segment.speaker);
      c.save();
      c.beginPath();
      c.rect(left, top2 + 1, wide, this.rowHeight - 4);
      c.clip();
      c.strokeStyle = this.ink.paper;
      c.globalAlpha = 0.6;
      c.lineWidth = 2;
      c.beginPath();
      const from = Math.max(left, 0) - this.rowHeight;
      for (let x = from - from % 8; x < Math.min(left + wide, this.width); x += 8) {
        c.moveTo(x, top2 + this.rowHeight);
        c.lineTo(x + this.rowHeight, top2);
      }
      c.stroke();
      c.restore();
      c.fillStyle = this.ink.review;
      c.fillRect(left, top2 + this.rowHeight - 3, wide, 2);
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
        const top2 = this.#top(label) + this.rowHeight / 2;
        c.fillStyle = this.ink.paper;
        c.fillRect(0, top2 - 7, 13, 14);
        c.fillStyle = this.ink.text;
        c.fillText(this.people.mark(label), 3, top2);
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
        if (at - x > 14) continue;
        c.fillText(word, at, middle);
        free = at + c.measureText(word).width + 4;
      }
    }
    #showHead() {
      if (!this.width) return;
      const { start, end } = this.window;
      const { duration } = this.doc;
      const x = (this.time - start) / (end - start) * this.width;
      this.playhead.hidden = x < 0 || x > this.width;
      this.playhead.style.transform = `translateX(${x}px)`;
      const share = (time) => `${100 * time / Math.max(duration, 1e-9)}%`;
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
      const length2 = Math.max(this.doc.duration, 1);
      const lines = (times, from, to) => times.map((time) => `M${time.toFixed(2)} ${from}V${to}`).join("");
      const path = (d, name) => drawing("path", { d, class: name, "vector-effect": "non-scaling-stroke" });
      this.marks.replaceChildren(
        drawing(
          "svg",
          { viewBox: `0 0 ${length2} 10`, preserveAspectRatio: "none", "aria-hidden": "true" },
          path(lines(this.review.map((segment) => segment.start), 0, 3), "review-marks"),
          path(lines(this.hits, 6, 10), "hit-marks")
        )
      );
    }
  };

  // source/numbers_view.js
  var MOST_COLUMNS = 60;
  var NumbersView = class {
    /** @param {import("./people.js").People} people */
    constructor(people2) {
      this.people = people2;
      this.content = element("div", { class: "content" });
      this.box = element("details", { id: "numbers" }, element("summary", {}, element("h2", {}, "Numbers")), this.content);
    }
    /** Shows the numbers of another document. */
    render(doc) {
      const { people: people2, minutes: minutes2 } = numbers(doc);
      const most = Math.max(...people2.map((person2) => person2.seconds), 1e-9);
      const head = ["Person", "Talk time", "Turns", "Words/​min", "In overlap", "Interrupts", "Longest"];
      const rows2 = people2.map(
        (person2) => element(
          "tr",
          { class: this.people.style(person2.speaker) },
          element("th", { scope: "row" }, this.people.swatch(person2.speaker), element("span", { class: "who", dir: "auto", title: this.people.name(person2.speaker) }, this.people.name(person2.speaker))),
          element("td", { class: "talk" }, bar(person2.seconds / most), element("span", {}, length(person2.seconds)), " ", element("small", {}, `${Math.round(100 * person2.share)} %`)),
          cell(person2.turns),
          cell(person2.words_per_minute === null ? "–" : Math.round(person2.words_per_minute)),
          cell(length(person2.overlapped_seconds)),
          cell(person2.interruptions),
          cell(length(person2.longest_monologue))
        )
      );
      const table = element(
        "table",
        {},
        element("caption", { class: "hidden-label" }, "How long, how often and how fast each person speaks"),
        element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col", title: text === "Longest" ? "Longest monologue" : false }, text)))),
        element("tbody", {}, ...rows2)
      );
      this.content.replaceChildren(element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Numbers of each person" }, table), this.#overTime(minutes2));
    }
    /** Who spoke in each stretch of the meeting, on top of each other. */
    #overTime(minutes2) {
      const each = Math.max(1, Math.ceil(minutes2.length / MOST_COLUMNS));
      const columns = [];
      for (let i = 0; i < minutes2.length; i += each) columns.push(minutes2.slice(i, i + each));
      const lasts = (part) => part.at(-1).end - part[0].start;
      const heights = columns.map((part) => this.people.labels.map((label) => part.reduce((sum, { seconds }) => sum + (seconds[label] ?? 0), 0) / Math.max(lasts(part), 1e-9)));
      const tallest = Math.max(1, ...heights.map((parts) => parts.reduce((a, b) => a + b, 0)));
      const end = Math.max(minutes2.at(-1)?.end ?? 1, 1e-9);
      const paths = this.people.labels.map((label, n) => {
        const d = columns.map((part, i) => {
          const below = heights[i].slice(0, n).reduce((a, b) => a + b, 0);
          const tall = heights[i][n];
          const left = part[0].start / end * 100;
          const wide = lasts(part) / end * 100;
          const gap = Math.min(0.25, wide / 8);
          return tall ? `M${left + gap} ${40 - 40 * (below + tall) / tallest}h${wide - 2 * gap}v${40 * tall / tallest}h-${wide - 2 * gap}z` : "";
        });
        return drawing("path", { d: d.join(""), class: this.people.style(label) });
      });
      const together = Math.max(1, Math.round(each * (minutes2[0]?.end ?? 60) / 60));
      const unit = together === 1 ? "minute" : `${together} minutes`;
      return element(
        "figure",
        { class: "over-time" },
        element("figcaption", {}, `Who speaks over time, by ${unit}`),
        drawing("svg", { viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img", "aria-label": `Share of each person in each ${unit} of ${spoken(end)}` }, ...paths),
        element("div", { class: "axis", "aria-hidden": "true" }, ...[0, 0.25, 0.5, 0.75, 1].map((share) => element("span", {}, clock(share * end))))
      );
    }
  };
  function length(seconds) {
    return seconds < 10 ? `${seconds.toFixed(1)} s` : clock(seconds);
  }
  function cell(value) {
    return element("td", {}, String(value));
  }
  function bar(share) {
    const made2 = element("span", { class: "bar", "aria-hidden": "true" });
    made2.style.setProperty("--share", `${(100 * share).toFixed(1)}%`);
    return made2;
  }

  // source/mix.js
  var AS_RECORDED = { solo: false, muted: false, volume: 1 };
  var Mix = class {
    /** @param {string[]} speakers those with a track of their own */
    constructor(speakers2) {
      this.voices = new Map(speakers2.map((speaker) => [speaker, { ...AS_RECORDED }]));
      this.owners = new Map(speakers2.map((speaker) => [speaker, speaker]));
    }
    /** Says which person each track belongs to by now, see `trackOwners`. */
    assign(owners) {
      this.owners = new Map(owners);
      for (const owner of this.owners.values()) {
        if (owner !== null && !this.voices.has(owner)) this.voices.set(owner, { ...AS_RECORDED });
      }
    }
    /** How loud a track is heard: as loud as the person whom it belongs to. */
    trackGain(track) {
      return this.gain(this.owners.get(track));
    }
    /** How loud a person is heard: 0 to 1, and 0 for those without a track. */
    gain(speaker) {
      const voice = this.voices.get(speaker);
      if (!voice) return 0;
      const alone = [...this.owners.values()].some((owner) => this.voices.get(owner)?.solo);
      return (alone ? voice.solo : !voice.muted) ? voice.volume : 0;
    }
    /** Whether everyone is heard as they were recorded: the recording itself says the same, and better. */
    get untouched() {
      return [...this.owners.keys()].every((track) => this.trackGain(track) === 1);
    }
    /** Changes some of a person's solo, muted and volume. */
    change(speaker, changes) {
      const voice = this.voices.get(speaker);
      if (voice) Object.assign(voice, changes);
    }
    /** Everyone is heard again, as loud as recorded. */
    reset() {
      for (const voice of this.voices.values()) Object.assign(voice, AS_RECORDED);
    }
  };
  function trackOwners(tracks2, made2, doc) {
    return tracks2.map((track) => [track, Object.hasOwn(doc.speakers, track) ? track : ownerOf(track, made2, doc)]);
  }
  function ownerOf(track, made2, doc) {
    const own = made2.turns.filter(({ speaker }) => speaker === track);
    const seconds = /* @__PURE__ */ new Map();
    for (const { start, end, speaker } of doc.turns) {
      const shared2 = own.reduce((sum, turn) => sum + Math.max(0, Math.min(end, turn.end) - Math.max(start, turn.start)), 0);
      seconds.set(speaker, (seconds.get(speaker) ?? 0) + shared2);
    }
    const [owner, most] = [...seconds].reduce((best, one) => one[1] > best[1] ? one : best, [null, 0]);
    return most > 0 ? owner : null;
  }

  // source/player.js
  var RECORDING = /* @__PURE__ */ Symbol("recording");
  var CHECKED_EVERY = 150;
  var IN_STEP = 5e-3;
  var DRIFTED = 0.02;
  var LOST = 0.25;
  var PATIENCE = 500;
  var Player = class extends EventTarget {
    /**
     * @param {{recording: {source: string, type: string} | null, tracks: Record<string, {source: string, type: string}>}} sound
     * @param {number} duration seconds
     * @param {HTMLElement} home where the audio elements live
     */
    constructor(sound, duration, home) {
      super();
      this.sound = sound;
      this.duration = duration;
      this.home = home;
      this.mix = new Mix(Object.keys(sound.tracks).filter((speaker) => sound.tracks[speaker]));
      this.rate = 1;
      this.playing = false;
      this.elements = /* @__PURE__ */ new Map();
      this.active = [];
      this.position = 0;
    }
    get hasSound() {
      return Boolean(this.sound.recording) || this.hasTracks;
    }
    get hasTracks() {
      return this.mix.owners.size > 0;
    }
    /** The moment that is played, in seconds on the recording's clock. */
    get time() {
      const [first] = this.active;
      return this.playing && first && !first.seeking && first.readyState > 0 ? first.currentTime : this.position;
    }
    play() {
      if (!this.hasSound || this.playing) return;
      if (this.position >= this.duration - 0.05) this.position = 0;
      this.playing = true;
      this.#choose();
      this.dispatchEvent(new Event("state"));
      this.#run();
    }
    pause() {
      if (!this.playing) return;
      this.position = this.time;
      this.playing = false;
      for (const audio of this.active) audio.pause();
      clearInterval(this.checking);
      this.dispatchEvent(new Event("state"));
      this.dispatchEvent(new Event("time"));
    }
    toggle() {
      if (this.playing) this.pause();
      else this.play();
    }
    /** Jumps to a moment; what plays goes on from there. */
    seek(time) {
      this.position = Math.min(Math.max(time, 0), this.duration);
      for (const audio of this.active) place(audio, this.position);
      if (this.playing && this.active.length > 1) this.#startTogether();
      this.dispatchEvent(new Event("time"));
    }
    setRate(rate) {
      this.rate = Math.min(Math.max(rate, 0.5), 2);
      for (const audio of this.active) audio.playbackRate = this.rate;
      this.dispatchEvent(new Event("state"));
    }
    /** Changes a person's solo, muted or volume. */
    change(speaker, changes) {
      this.mix.change(speaker, changes);
      this.#mixed();
    }
    /** Says which person each track belongs to by now. */
    assign(owners) {
      this.mix.assign(owners);
      if (this.active.length) this.#mixed();
      else this.dispatchEvent(new Event("mix"));
    }
    /** Hears one person alone, or everyone again where that one is alone already. */
    toggleSolo(speaker) {
      this.change(speaker, { solo: !this.mix.voices.get(speaker)?.solo });
    }
    everyone() {
      this.mix.reset();
      this.#mixed();
    }
    #mixed() {
      this.position = this.time;
      this.#choose();
      this.dispatchEvent(new Event("mix"));
    }
    /** The elements that are to sound; where all is muted, one of them runs silently as the clock. */
    #wanted() {
      if (this.sound.recording && this.mix.untouched) return [[RECORDING, 1]];
      const heard = [...this.mix.owners.keys()].map((track) => [track, this.mix.trackGain(track)]).filter(([, gain]) => gain);
      if (heard.length) return heard;
      return [[this.sound.recording ? RECORDING : [...this.mix.owners.keys()][0], 0]];
    }
    /** Puts the elements that are to sound in the place of those that did. */
    #choose() {
      if (!this.hasSound) return;
      const wanted = this.#wanted().map(([key, gain]) => [this.#element(key), gain]);
      const before = this.active;
      this.active = wanted.map(([audio]) => audio);
      for (const audio of before) if (!this.active.includes(audio)) audio.pause();
      for (const [audio, gain] of wanted) {
        audio.volume = gain;
        audio.muted = gain === 0;
        audio.playbackRate = this.rate;
      }
      if (this.active.every((audio) => this.playing && !audio.paused && before.includes(audio))) return;
      for (const audio of this.active) place(audio, this.position);
      if (this.playing) this.#startTogether();
    }
    /** Starts what is to sound at one moment: as soon as all of it can, or after a while what can. */
    async #startTogether() {
      const { active } = this;
      const start = this.start = {};
      if (!active.every(ready)) {
        for (const audio of active) if (active.length > 1) audio.pause();
        await Promise.race([Promise.all(active.map(untilReady)), new Promise((done) => setTimeout(done, PATIENCE))]);
      }
      if (start === this.start && this.playing) for (const audio of active) this.#start(audio);
    }
    #start(audio) {
      audio.play().catch((error) => {
        if (error.name === "AbortError" || !this.playing) return;
        this.pause();
        this.#problem(audio, error.name === "NotAllowedError" ? "The browser did not let the page play sound; press play again." : "");
      });
    }
    #element(key) {
      let audio = this.elements.get(key);
      if (!audio) {
        const { source } = key === RECORDING ? this.sound.recording : this.sound.tracks[key];
        audio = element("audio", { preload: "auto", ...key === RECORDING ? { "data-recording": true } : { "data-speaker": key } });
        audio.preservesPitch = true;
        audio.addEventListener("ended", () => audio === this.active[0] && this.playing && this.#ended());
        audio.addEventListener("error", () => {
          this.pause();
          this.#problem(audio);
        });
        audio.src = source.startsWith("#") ? blobUrl(source.slice(1), this.sound, key) : address(source);
        audio.dataset.source = source;
        this.elements.set(key, audio);
        this.home.append(audio);
      }
      return audio;
    }
    #problem(audio, sentence2 = "") {
      const { source } = audio.dataset;
      const detail = sentence2 || (source.startsWith("#") ? "This browser cannot play the sound in this page." : `The sound file ${source} cannot be played; it belongs beside this page, in the place where it was written.`);
      this.dispatchEvent(new CustomEvent("problem", { detail }));
    }
    #ended() {
      this.pause();
      this.seek(this.duration);
    }
    #run() {
      clearInterval(this.checking);
      this.checking = setInterval(() => this.#keepInStep(), CHECKED_EVERY);
      const frame = () => {
        if (!this.playing) return;
        if (this.time >= this.duration && this.duration) return this.#ended();
        this.dispatchEvent(new Event("time"));
        requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
    }
    /** Brings elements that drifted from the clock back: a little faster or slower, far ones by a jump. */
    #keepInStep() {
      const [clock3, ...others] = this.active;
      if (!clock3 || clock3.seeking || clock3.paused) return;
      for (const audio of others) {
        if (audio.seeking || audio.paused || audio.readyState < 3) continue;
        const drift = audio.currentTime - clock3.currentTime;
        const correcting = audio.playbackRate !== this.rate;
        if (Math.abs(drift) > LOST) {
          audio.currentTime = clock3.currentTime;
          audio.playbackRate = this.rate;
        } else if (Math.abs(drift) > (correcting ? IN_STEP : DRIFTED)) {
          audio.playbackRate = this.rate * (1 - Math.min(Math.max(drift * 2, -0.12), 0.12));
        } else if (correcting) {
          audio.playbackRate = this.rate;
        }
      }
    }
  };
  function ready(audio) {
    return audio.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA && !audio.seeking;
  }
  function untilReady(audio) {
    return new Promise((done) => {
      const events = ["canplay", "seeked", "error"];
      const check = () => {
        if (!ready(audio) && !audio.error) return;
        for (const event of events) audio.removeEventListener(event, check);
        done();
      };
      for (const event of events) audio.addEventListener(event, check);
      check();
    });
  }
  function place(audio, time) {
    if (audio.readyState > 0) {
      audio.currentTime = time;
    } else {
      audio.dataset.at = String(time);
      audio.addEventListener("loadedmetadata", () => audio.currentTime = Number(audio.dataset.at), { once: true });
    }
  }
  function address(path) {
    return path.split("/").map(encodeURIComponent).join("/");
  }
  function blobUrl(id, sound, key) {
    const { type } = key === RECORDING ? sound.recording : sound.tracks[key];
    const text = document.getElementById(id).textContent.trim();
    const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return URL.createObjectURL(new Blob([bytes], { type }));
  }

  // source/review.js
  var Review = class {
    /**
     * @param {import("./transcript_view.js").TranscriptView} view
     * @param {(segment: number) => void} onGo
     */
    constructor(view2, onGo) {
      this.view = view2;
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
      this.places = this.view.doc.segments.flatMap((segment, i) => segment.review.length ? [i] : []);
      this.count.textContent = String(this.places.length);
      this.previous.disabled = this.next.disabled = this.places.length === 0;
      this.only.disabled = this.places.length === 0 && !this.only.checked;
    }
    /** Goes to the next (1) or previous (-1) place that is shown, from the selected segment. */
    step(by) {
      const places = this.places.filter((place2) => this.view.shows(place2));
      if (!places.length) return;
      const from = this.view.selectedSegment ?? -1;
      const next = by > 0 ? places.find((place2) => place2 > from) : places.findLast((place2) => place2 < from);
      this.onGo(next ?? (by > 0 ? places[0] : places.at(-1)));
    }
  };

  // source/search_bar.js
  var TYPING_PAUSE = 120;
  var SearchBar = class {
    /**
     * @param {import("./transcript_view.js").TranscriptView} view
     * @param {{onHits: (hits: {segment: number, first: number, last: number}[]) => void, onGo: () => void}} listeners
     *   told the places that were found, and that the reader goes to one
     */
    constructor(view2, { onHits, onGo }) {
      this.view = view2;
      this.onHits = onHits;
      this.onGo = onGo;
      this.hits = [];
      this.current = -1;
      this.field = element("input", {
        type: "search",
        id: "search",
        placeholder: "Search",
        "aria-label": "Search the transcript",
        autocomplete: "off",
        spellcheck: "false",
        input: () => this.#typed(),
        keydown: (event) => this.#key(event)
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
  };

  // source/layout.js
  var LONGEST_GROUP = 24;
  var MOST_COLUMNS2 = 3;
  var SAME_ROW = 0.4;
  function overlapGroups(segments) {
    const groups2 = [];
    let first = 0;
    while (first < segments.length) {
      let last = first;
      let end = segments[first].end;
      while (last + 1 < segments.length && last + 1 - first < LONGEST_GROUP && segments[last + 1].start < end) {
        last += 1;
        end = Math.max(end, segments[last].end);
      }
      groups2.push({ first, ...placed(segments.slice(first, last + 1)) });
      first = last + 1;
    }
    return groups2;
  }
  function placed(segments) {
    const columns = [];
    const rows2 = [];
    const places = [];
    let crowded = false;
    segments.forEach((segment) => {
      const rowStart = rows2.at(-1);
      const sameRow = rowStart !== void 0 && segment.start - rowStart < SAME_ROW && columnFor(columns, segment, rowStart) >= 0;
      if (!sameRow) rows2.push(segment.start);
      const column = columnFor(columns, segment, rows2.at(-1));
      crowded ||= column < 0;
      if (column >= 0) columns[column] = { end: segment.end, speaker: segment.speaker };
      places.push({ column: column + 1, row: rows2.length, end: 0 });
    });
    if (crowded) return { columns: 1, places: segments.map((_, i) => ({ column: 1, row: i + 1, end: i + 2 })) };
    places.forEach((place2, i) => {
      const later = rows2.findIndex((start, row2) => row2 + 1 > place2.row && start >= segments[i].end);
      place2.end = later < 0 ? rows2.length + 1 : later + 1;
    });
    return { columns: columns.length, places };
  }
  function columnFor(columns, segment, rowStart) {
    const free = (column) => column.end <= rowStart;
    const own = columns.findIndex((column) => free(column) && column.speaker === segment.speaker);
    if (own >= 0) return own;
    const any = columns.findIndex(free);
    if (any >= 0) return any;
    return columns.length < MOST_COLUMNS2 ? columns.length : -1;
  }

  // source/transcript_view.js
  var CHUNK = 24;
  var AT_ONCE = 50;
  var DOUBTFUL_SCORE = 0.4;
  var DOUBTFUL_MARGIN = 0.1;
  var REASONS = {
    "overlap-unresolved": "voices could not be taken apart",
    "three-voices": "three or more spoke at once",
    "low-speaker-margin": "the voice may be another person’s",
    "possible-leak": "a voice may have been silenced here",
    "uncertain-speaker": "another person may have said this",
    "dropped-no-speech": "words were left out nearby: likely nobody spoke",
    "dropped-improbable": "words were left out nearby: none was sure",
    "dropped-repetition": "words were left out nearby: a repetition",
    "dropped-pace": "words were left out nearby: too many or too few for the time",
    "dropped-no-voice": "words were left out nearby: no voice in the sound"
  };
  function reasonText(reason) {
    return REASONS[reason] ?? reason;
  }
  var TranscriptView = class {
    /**
     * @param {import("./people.js").People} people
     * @param {(time: number) => void} onSeek a word or a time was clicked
     */
    constructor(people2, onSeek) {
      this.people = people2;
      this.onSeek = onSeek;
      this.articles = [];
      this.groups = [];
      this.chunks = [];
      this.selected = null;
      this.listeners = [];
      this.filtered = { speaker: null, review: false };
      this.playing = /* @__PURE__ */ new Map();
      this.hits = [];
      this.blank = element(
        "article",
        { tabindex: "-1" },
        element("header", {}, element("span"), element("span", { class: "who", dir: "auto" }), element("button", { type: "button", class: "at", tabindex: "-1" })),
        element("p", { class: "words", dir: "auto" })
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
      const groups2 = overlapGroups(doc.segments).map(({ first, columns, places }) => {
        const segments = doc.segments.slice(first, first + places.length);
        const kept = old.get(segments[0]);
        const same = kept && kept.segments.length === segments.length && kept.segments.every((segment, i) => segment === segments[i]);
        return same ? { ...kept, first } : this.#group(segments, columns, places);
      });
      this.#place(groups2);
      this.articles = groups2.flatMap((group) => group.articles);
      this.articles.forEach((article, i) => this.#update(article, i));
      this.#spellLater();
      this.#keepSelection(before);
      this.filter(this.filtered);
      this.showHits([], -1);
      this.playing.clear();
    }
    /** Puts the groups on the page in chunks, and leaves the chunks at the beginning and at the end that stay. */
    #place(groups2) {
      const now = this.chunks;
      const next = this.#chunked(groups2);
      let head = 0;
      while (head < Math.min(now.length, next.length) && now[head] === next[head]) head++;
      let tail = 0;
      while (tail < Math.min(now.length, next.length) - head && now.at(-1 - tail) === next.at(-1 - tail)) tail++;
      const fresh = next.slice(head, next.length - tail);
      for (const chunk of now.slice(head, now.length - tail)) if (!fresh.includes(chunk)) chunk.remove();
      if (tail) next[next.length - tail].before(...fresh);
      else this.empty.before(...fresh);
      this.groups = groups2;
      this.chunks = next;
    }
    /**
     * Elements of some groups each, which the browser lays out when they come near the window: it watches each of them
     * in every frame, so that there must not be too many. A group that began a chunk begins one again.
     */
    #chunked(groups2) {
      const runs2 = [];
      let size = Infinity;
      for (const group of groups2) {
        if (group.begins || size >= CHUNK) {
          group.begins = true;
          runs2.push([]);
          size = 0;
        }
        runs2.at(-1).push(group);
        size += group.segments.length;
      }
      const old = new Map(this.chunks.map((chunk) => [chunk.firstElementChild, chunk]));
      return runs2.map((run) => {
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
        places.forEach(({ column, row: row2, end }, i) => {
          articles[i].style.gridColumn = String(column);
          articles[i].style.gridRow = `${row2} / ${end}`;
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
      const { length: length2 } = this.doc.segments[segment].words;
      const from = first === null ? null : Math.min(first, last, length2 - 1);
      const to = first === null ? null : Math.min(Math.max(first, last), length2 - 1);
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
      if (!getSelection().isCollapsed && !event.shiftKey) return;
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
    filter({ speaker, review: review2 }) {
      this.filtered = { speaker, review: review2 };
      let shown = 0;
      for (const { box, articles, segments } of this.groups) {
        let some = false;
        segments.forEach((segment, i) => {
          const hidden = speaker !== null && this.people.person(segment.speaker) !== speaker || review2 && !segment.review.length;
          if (articles[i].hidden !== hidden) articles[i].hidden = hidden;
          some ||= !hidden;
          shown += hidden ? 0 : 1;
        });
        if (box.hidden === some) box.hidden = !some;
      }
      this.list.classList.toggle("filtered", speaker !== null || review2);
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
      const now = /* @__PURE__ */ new Map();
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
      const top2 = this.top?.() ?? 0;
      const bottom = window.innerHeight - (this.bottom?.() ?? 0);
      let box = target.getBoundingClientRect();
      if (!always && box.top >= top2 + 12 && box.bottom <= bottom - 0.15 * (bottom - top2)) return;
      const wanted = top2 + 0.3 * (bottom - top2);
      const far = Math.abs(box.top - wanted) > 1.5 * window.innerHeight;
      window.scrollBy({ top: box.top - wanted, behavior: far || reducedMotion() ? "instant" : "smooth" });
      if (!far) return;
      requestAnimationFrame(() => {
        box = target.getBoundingClientRect();
        if (Math.abs(box.top - wanted) > 8) window.scrollBy({ top: box.top - wanted, behavior: "instant" });
      });
    }
  };

  // source/main.js
  var page = document.querySelector("#page");
  var history = new History(readDocument(document));
  var people = new People();
  people.read(history.document);
  var live = element("div", { class: "hidden-label", role: "status", "aria-live": "polite" });
  var announce = (sentence2) => live.textContent = sentence2;
  var speakers = element("div", { id: "audio", hidden: true });
  var player = new Player(readSound(document), history.document.duration, speakers);
  var seek = (time) => player.seek(time);
  var view = new TranscriptView(people, (time) => {
    seek(time);
    if (!follow.on) follow.set(true);
  });
  var lanes = new Lanes(people, (time) => {
    seek(time);
    view.showTime(time);
    const index = view.intervals.before(time);
    if (index >= 0) view.reveal(view.articles[index]);
  });
  var list = new PeopleList(people, player);
  var controls = new Controls(player);
  var figures = new NumbersView(people);
  var search2 = new SearchBar(view, {
    onHits: (hits) => lanes.showHits(hits.map((hit) => view.doc.segments[hit.segment].words[hit.first].start)),
    onGo: () => player.playing && follow.set(false)
  });
  var review = new Review(view, goTo);
  var keyboard = new Keyboard([marks()]);
  var title = element("h1", { dir: "auto" });
  var facts = element("p", { class: "facts" });
  var notice = element("p", { id: "notice", role: "alert", hidden: true });
  function notify(sentence2) {
    notice.textContent = sentence2;
    notice.hidden = !sentence2;
  }
  var remark = element("p", { class: "remark", hidden: player.hasTracks });
  if (!player.hasSound) remark.textContent = "This page has no sound: it shows the transcript alone.";
  else if (!player.hasTracks) remark.textContent = "This page has the recording alone: people cannot be heard one by one.";
  player.addEventListener("problem", (event) => notify(event.detail));
  var person = element("select", { id: "person", "aria-label": "Whose turns are shown" });
  function filter() {
    view.filter({ speaker: person.value || null, review: review.only.checked });
    search2.refresh();
  }
  person.addEventListener("change", filter);
  review.only.addEventListener("change", filter);
  var help = element("button", { type: "button", id: "show-help", "aria-label": "Keys (?)", title: "Keys (?)", click: () => keyboard.help() }, "?");
  var fold = iconButton("up", "Hide the lanes (L)", { id: "fold", "aria-expanded": "true", "aria-controls": "timeline", click: toggleLanes });
  var side = element("div", { id: "side" }, lanes.zoomButtons, list.list);
  var timeline = element("div", { id: "timeline" }, side, lanes.view);
  var correctBar = element("div", { id: "correct-bar", role: "toolbar", "aria-label": "Corrections" });
  var skip = element("button", { type: "button", class: "skip", click: () => view.list.querySelector('[tabindex="0"]')?.focus() }, "Skip to the transcript");
  var top = element(
    "header",
    { id: "top" },
    skip,
    element("div", { class: "titles" }, title, facts),
    element("div", { class: "tools" }, search2.bar, help, person, review.bar, fold),
    element("div", { class: "transport" }, controls.bar, lanes.overview),
    timeline,
    correctBar,
    notice
  );
  var follow = new Follow(view, player, top);
  controls.bar.append(follow.toggle);
  function toggleLanes() {
    timeline.hidden = !timeline.hidden;
    fold.setAttribute("aria-expanded", String(!timeline.hidden));
    const label = `${timeline.hidden ? "Show" : "Hide"} the lanes (L)`;
    fold.title = label;
    fold.setAttribute("aria-label", label);
    fold.classList.toggle("turned", timeline.hidden);
  }
  var printed = element("div", { class: "printed" });
  var transcript = element("section", { id: "transcript-view", "aria-label": "Transcript" }, printed, remark, view.list);
  document.body.prepend(top);
  page.append(transcript, figures.box);
  document.body.append(follow.back, keyboard.dialog, live, speakers);
  var rest;
  function render(doc) {
    title.textContent = doc.recording;
    document.title = doc.recording;
    facts.textContent = describe(doc);
    list.render();
    document.documentElement.style.setProperty("--rows", String(people.labels.length));
    timeline.classList.toggle("many", people.labels.length > 5);
    view.render(doc);
    lanes.render(people.view);
    review.render();
    const chosen = people.labels.includes(person.value) ? person.value : "";
    person.replaceChildren(
      element("option", { value: "" }, "Everyone"),
      ...people.labels.map((label) => element("option", { value: label }, people.name(label)))
    );
    person.value = chosen;
    filter();
    showTime();
    clearTimeout(rest);
    rest = setTimeout(() => {
      figures.render(doc);
      printed.replaceChildren(...printedLanes(people.view));
    });
  }
  function describe(doc) {
    const count = people.labels.filter((label) => label !== "UNKNOWN").length;
    const parts = [clock(doc.duration), `${count} ${count === 1 ? "person" : "people"}`];
    if (doc.language) {
      try {
        parts.push(new Intl.DisplayNames(["en"], { type: "language" }).of(doc.language));
      } catch {
        parts.push(doc.language);
      }
    }
    return parts.join(" · ");
  }
  function printedLanes(doc) {
    const names = people.labels.map((label) => element("li", {}, people.swatch(label), " ", element("span", { dir: "auto" }, people.name(label))));
    const marks2 = [0, 0.25, 0.5, 0.75, 1].map((share) => element("span", {}, clock(share * doc.duration)));
    return [element("ul", {}, ...names), element("div", {}, lanesDrawing(doc, people), element("div", { class: "axis" }, ...marks2))];
  }
  function showTime() {
    const { time } = player;
    controls.showTime();
    lanes.showTime(time);
    follow.show(view.showTime(time));
  }
  function goTo(segment) {
    const { start, review: reasons } = view.doc.segments[segment];
    view.select(segment);
    seek(start);
    const article = view.articles[segment];
    view.reveal(article);
    article.focus({ preventScroll: true });
    if (reasons.length) announce(article.querySelector(".review-note").textContent);
  }
  function stepSegment(by) {
    const { segments } = view.doc;
    let index = view.selectedSegment ?? view.intervals.before(player.time) - (by > 0 ? 1 : 0);
    do
      index += by;
    while (index >= 0 && index < segments.length && !view.shows(index));
    if (index >= 0 && index < segments.length) goTo(index);
  }
  function stepWord(by) {
    const { segments } = view.doc;
    let segment = view.selectedSegment ?? Math.max(view.intervals.before(player.time), 0);
    if (!segments.length) return;
    let word = view.selectedWord === null ? by > 0 ? 0 : -1 : (by > 0 ? view.selectedWords.last : view.selectedWord) + by;
    if (word < 0 || word >= segments[segment].words.length) {
      segment += by;
      if (segment < 0 || segment >= segments.length) return;
      word = by > 0 ? 0 : segments[segment].words.length - 1;
    }
    view.select(segment, word);
    seek(segments[segment].words[word].start);
    view.reveal(view.wordElement(segment, word));
  }
  function marks() {
    const rows2 = [
      [element("span", { class: "word doubtful" }, "word"), "the transcriber was not sure of it"],
      [element("span", { class: "sample person-0 to-review" }), "to review: listen again"],
      [element("span", { class: "sample band" }), "people speak at the same time"]
    ];
    return element("section", {}, element("h3", {}, "Marks"), element("dl", {}, ...rows2.flatMap(([mark, text]) => [element("dt", {}, mark), element("dd", {}, text)])));
  }
  function solo(event) {
    const label = people.labels.find((one) => people.mark(one) === /\d/.exec(event.code)?.[0]);
    if (!label || !player.mix.voices.has(label)) return;
    player.toggleSolo(label);
    announce(player.mix.voices.get(label).solo ? `Only ${people.name(label)} is heard` : `${people.name(label)} is no longer alone`);
  }
  var digits = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(String);
  keyboard.add("Sound", [
    { keys: [" "], shown: "Space", label: "Play or pause", run: () => player.toggle() },
    { keys: ["ArrowLeft"], shown: "←", label: "5 seconds back", run: () => seek(player.time - 5) },
    { keys: ["ArrowRight"], shown: "→", label: "5 seconds ahead", run: () => seek(player.time + 5) },
    { keys: ["Shift+ArrowLeft"], shown: "Shift ←", label: "1 second back", run: () => seek(player.time - 1) },
    { keys: ["Shift+ArrowRight"], shown: "Shift →", label: "1 second ahead", run: () => seek(player.time + 1) },
    { keys: ["[", "<"], label: "Slower", run: () => controls.stepRate(-1) },
    { keys: ["]", ">"], label: "Faster", run: () => controls.stepRate(1) }
  ]);
  keyboard.add("People", [
    { keys: digits, shown: "1 … 9", label: "Hear this person alone, or no longer", run: solo },
    { keys: ["0"], label: "Hear everyone", run: () => (player.everyone(), announce("Everyone is heard")) }
  ]);
  keyboard.add("Transcript", [
    { keys: ["ArrowUp"], shown: "↑", label: "Previous turn", run: () => stepSegment(-1) },
    { keys: ["ArrowDown"], shown: "↓", label: "Next turn", run: () => stepSegment(1) },
    { keys: [","], label: "Previous word", run: () => stepWord(-1) },
    { keys: ["."], label: "Next word", run: () => stepWord(1) },
    { keys: ["n"], label: "Next place to review", run: () => review.step(1) },
    { keys: ["p"], label: "Previous place to review", run: () => review.step(-1) },
    { keys: ["/"], label: "Search", run: () => search2.focus() },
    { keys: ["f"], label: "Follow the sound", run: () => follow.set(!follow.on) }
  ]);
  keyboard.add("Lanes", [
    { keys: ["+", "="], label: "Zoom in", run: () => lanes.zoom(0.5) },
    { keys: ["-"], label: "Zoom out", run: () => lanes.zoom(2) },
    { keys: ["l"], label: "Hide or show the lanes", run: toggleLanes }
  ]);
  keyboard.add("Page", [{ keys: ["?"], label: "This list", run: () => keyboard.help() }]);
  player.addEventListener("time", showTime);
  var made = history.document;
  var tracks = [...player.mix.owners.keys()];
  function assignTracks() {
    const owners = trackOwners(tracks, made, history.document).map(([track, owner]) => [track, owner && people.person(owner)]);
    if (owners.some(([track, owner]) => player.mix.owners.get(track) !== owner)) player.assign(owners);
  }
  assignTracks();
  history.onChange(() => {
    people.read(history.document);
    assignTracks();
    render(history.document);
  });
  view.top = () => getComputedStyle(top).position === "sticky" ? top.getBoundingClientRect().bottom : 0;
  view.bottom = () => getComputedStyle(controls.bar).position === "fixed" ? controls.bar.offsetHeight : 0;
  new ResizeObserver(() => document.documentElement.style.setProperty("--top", `${top.offsetHeight}px`)).observe(top);
  figures.box.open = matchMedia("(min-width: 1200px)").matches;
  render(history.document);
  attachCorrecting({
    history,
    view,
    people,
    keyboard,
    announce,
    legend: list.list,
    bar: correctBar,
    text: document.querySelector("#transcript").textContent,
    tracks
  });
})();
