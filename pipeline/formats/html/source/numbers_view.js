// The numbers of a meeting on the page: a table with small bars, and who spoke over time.

import { drawing, element } from "./dom.js";
import { numbers } from "./numbers.js";
import { clock, spoken } from "./timeline.js";

const MOST_COLUMNS = 60;

/** The numbers of a document in `box`, a part of the page that opens and closes. */
export class NumbersView {
  /** @param {import("./people.js").People} people */
  constructor(people) {
    this.people = people;
    this.content = element("div", { class: "content" });
    this.box = element("details", { id: "numbers" }, element("summary", {}, element("h2", {}, "Numbers")), this.content);
  }

  /** Shows the numbers of another document. */
  render(doc) {
    const { people, minutes } = numbers(doc);
    const most = Math.max(...people.map((person) => person.seconds), 1e-9);
    const head = ["Person", "Talk time", "Turns", "Words/\u200bmin", "In overlap", "Interrupts", "Longest"];
    const rows = people.map((person) =>
      element(
        "tr", { class: this.people.style(person.speaker) },
        element("th", { scope: "row" }, this.people.swatch(person.speaker), element("span", { class: "who", dir: "auto", title: this.people.name(person.speaker) }, this.people.name(person.speaker))),
        element("td", { class: "talk" }, bar(person.seconds / most), element("span", {}, length(person.seconds)), " ", element("small", {}, `${Math.round(100 * person.share)} %`)),
        cell(person.turns),
        cell(person.words_per_minute === null ? "–" : Math.round(person.words_per_minute)),
        cell(length(person.overlapped_seconds)),
        cell(person.interruptions),
        cell(length(person.longest_monologue)),
      ),
    );
    const table = element(
      "table", {},
      element("caption", { class: "hidden-label" }, "How long, how often and how fast each person speaks"),
      element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col", title: text === "Longest" ? "Longest monologue" : false }, text)))),
      element("tbody", {}, ...rows),
    );
    this.content.replaceChildren(element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Numbers of each person" }, table), this.#overTime(minutes));
  }

  /** Who spoke in each stretch of the meeting, on top of each other. */
  #overTime(minutes) {
    const each = Math.max(1, Math.ceil(minutes.length / MOST_COLUMNS));
    const columns = [];
    for (let i = 0; i < minutes.length; i += each) columns.push(minutes.slice(i, i + each));
    const lasts = (part) => part.at(-1).end - part[0].start;
    const heights = columns.map((part) => this.people.labels.map((label) => part.reduce((sum, { seconds }) => sum + (seconds[label] ?? 0), 0) / Math.max(lasts(part), 1e-9)));
    const tallest = Math.max(1, ...heights.map((parts) => parts.reduce((a, b) => a + b, 0)));
    const end = Math.max(minutes.at(-1)?.end ?? 1, 1e-9);
    const paths = this.people.labels.map((label, n) => {
      const d = columns.map((part, i) => {
        const below = heights[i].slice(0, n).reduce((a, b) => a + b, 0);
        const tall = heights[i][n];
        const left = (part[0].start / end) * 100;
        const wide = (lasts(part) / end) * 100;
        const gap = Math.min(0.25, wide / 8);
        return tall ? `M${left + gap} ${40 - (40 * (below + tall)) / tallest}h${wide - 2 * gap}v${(40 * tall) / tallest}h-${wide - 2 * gap}z` : "";
      });
      return drawing("path", { d: d.join(""), class: this.people.style(label) });
    });
    const together = Math.max(1, Math.round((each * (minutes[0]?.end ?? 60)) / 60));
    const unit = together === 1 ? "minute" : `${together} minutes`;
    return element(
      "figure", { class: "over-time" },
      element("figcaption", {}, `Who speaks over time, by ${unit}`),
      drawing("svg", { viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img", "aria-label": `Share of each person in each ${unit} of ${spoken(end)}` }, ...paths),
      element("div", { class: "axis", "aria-hidden": "true" }, ...[0, 0.25, 0.5, 0.75, 1].map((share) => element("span", {}, clock(share * end)))),
    );
  }
}

/** A length of time: short ones with tenths of a second. */
function length(seconds) {
  return seconds < 10 ? `${seconds.toFixed(1)} s` : clock(seconds);
}

function cell(value) {
  return element("td", {}, String(value));
}

function bar(share) {
  const made = element("span", { class: "bar", "aria-hidden": "true" });
  made.style.setProperty("--share", `${(100 * share).toFixed(1)}%`);
  return made;
}
