// Arithmetic on times: clock times, spans, what happens at a moment, and the window of time that is shown.

/**
 * Seconds as a clock time.
 * @example clock(75) // "1:15"
 * @example clock(3661.25, 1) // "1:01:01.2"
 */
export function clock(seconds, decimals = 0) {
  const unit = 10 ** decimals;
  const units = Math.floor(Math.max(seconds, 0) * unit + 1e-6);
  const whole = Math.floor(units / unit);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const rest = String(whole % 60).padStart(2, "0");
  const fraction = decimals ? "." + String(units % unit).padStart(decimals, "0") : "";
  return (hours ? `${hours}:${String(minutes).padStart(2, "0")}` : String(minutes)) + `:${rest}${fraction}`;
}

/**
 * Seconds as words, for screen readers.
 * @example spoken(3725) // "1 hour 2 minutes 5 seconds"
 */
export function spoken(seconds) {
  const whole = Math.round(seconds);
  const parts = [[Math.floor(whole / 3600), "hour"], [Math.floor(whole / 60) % 60, "minute"], [whole % 60, "second"]];
  const said = parts.filter(([count]) => count).map(([count, unit]) => `${count} ${unit}${count === 1 ? "" : "s"}`);
  return said.join(" ") || "0 seconds";
}

/** The index of the first item that passes the test, which all later ones pass too; the length where none does. */
export function firstIndex(items, passes) {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (passes(items[middle])) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * The union of spans as sorted, disjoint ones; empty ones are dropped, touching ones joined.
 * @param {{start: number, end: number}[]} spans
 * @returns {{start: number, end: number}[]}
 */
export function support(spans) {
  const sorted = spans.filter((span) => span.start < span.end).sort((a, b) => a.start - b.start || a.end - b.end);
  const joined = [];
  for (const { start, end } of sorted) {
    const last = joined.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else joined.push({ start, end });
  }
  return joined;
}

/** Where at least two of the lists (each sorted and disjoint) cover the time. */
export function shared(lists) {
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

/** Those of the sorted, disjoint spans that share time with the stretch from `start` to `end`, whole. */
export function during(spans, start, end) {
  const first = firstIndex(spans, (span) => span.end > start);
  return spans.slice(first, Math.max(first, firstIndex(spans, (span) => span.start >= end)));
}

/** Seconds that sorted, disjoint spans cover. */
export function total(spans) {
  return spans.reduce((sum, { start, end }) => sum + (end - start), 0);
}

/** Items with `start` and `end`, sorted by start, which may overlap: found by time in about logarithmic time. */
export class Intervals {
  constructor(items) {
    this.items = items;
    let latest = -Infinity;
    this.latestEnds = items.map((item) => (latest = Math.max(latest, item.end)));
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
}

/** The index of the word that is spoken at the moment, or was last by at most `pause` seconds; -1 where none is. */
export function wordAt(words, time, pause = 0.5) {
  const index = firstIndex(words, (word) => word.start > time) - 1;
  return index >= 0 && time < words[index].end + pause ? index : -1;
}

const SHORTEST = 2;

/** The window moved and cut so that it lies within the recording. */
export function clamped({ start, end }, duration) {
  const longest = Math.max(duration, SHORTEST);
  const length = Math.min(Math.max(end - start, SHORTEST), longest);
  const from = Math.min(Math.max(start, 0), longest - length);
  return { start: from, end: from + length };
}

/** The window `factor` times as long, the moment `at` staying where it is. */
export function zoomed({ start, end }, factor, at, duration) {
  const length = Math.min(Math.max((end - start) * factor, SHORTEST), Math.max(duration, SHORTEST));
  const share = end > start ? (at - start) / (end - start) : 0.5;
  return clamped({ start: at - share * length, end: at + (1 - share) * length }, duration);
}

/** The window moved by seconds. */
export function panned({ start, end }, by, duration) {
  return clamped({ start: start + by, end: end + by }, duration);
}

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36000];

/** The marks of a time axis in the window: at most `most`, at round times, and the step between them in seconds. */
export function ticks({ start, end }, most) {
  const step = STEPS.find((candidate) => (end - start) / candidate <= most) ?? STEPS.at(-1);
  const times = [];
  for (let n = Math.ceil(start / step - 1e-9); n * step <= end; n++) times.push(n * step);
  return { step, times };
}
