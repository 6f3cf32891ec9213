// The page of a transcript: puts its parts together when the document is there.

import { Controls } from "./controls.js";
import { attachCorrecting } from "./correcting.js";
import { readDocument, readSound } from "./document.js";
import { element, iconButton } from "./dom.js";
import { Follow } from "./follow.js";
import { History } from "./history.js";
import { Keyboard } from "./keyboard.js";
import { Lanes } from "./lanes.js";
import { NumbersView } from "./numbers_view.js";
import { People, PeopleList, lanesDrawing } from "./people.js";
import { trackOwners } from "./mix.js";
import { Player } from "./player.js";
import { Review } from "./review.js";
import { SearchBar } from "./search_bar.js";
import { clock, spoken } from "./timeline.js";
import { TranscriptView } from "./transcript_view.js";

const page = document.querySelector("#page");
const history = new History(readDocument(document));
const people = new People();
people.read(history.document);

const live = element("div", { class: "hidden-label", role: "status", "aria-live": "polite" });
/** Says a sentence to screen readers. */
const announce = (sentence) => (live.textContent = sentence);

const speakers = element("div", { id: "audio", hidden: true });
const player = new Player(readSound(document), history.document.duration, speakers);
const seek = (time) => player.seek(time);
const view = new TranscriptView(people, (time) => {
  seek(time);
  if (!follow.on) follow.set(true);
});
const lanes = new Lanes(people, (time) => {
  seek(time);
  view.showTime(time);
  const index = view.intervals.before(time);
  if (index >= 0) view.reveal(view.articles[index]);
});
const list = new PeopleList(people, player);
const controls = new Controls(player);
const figures = new NumbersView(people);
const search = new SearchBar(view, {
  onHits: (hits) => lanes.showHits(hits.map((hit) => view.doc.segments[hit.segment].words[hit.first].start)),
  onGo: () => player.playing && follow.set(false),
});
const review = new Review(view, goTo);
const keyboard = new Keyboard([marks()]);

// What the page says about itself.
const title = element("h1", { dir: "auto" });
const facts = element("p", { class: "facts" });
const notice = element("p", { id: "notice", role: "alert", hidden: true });
function notify(sentence) {
  notice.textContent = sentence;
  notice.hidden = !sentence;
}
const remark = element("p", { class: "remark", hidden: player.hasTracks });
if (!player.hasSound) remark.textContent = "This page has no sound: it shows the transcript alone.";
else if (!player.hasTracks) remark.textContent = "This page has the recording alone: people cannot be heard one by one.";
player.addEventListener("problem", (event) => notify(event.detail));

// Which segments are shown.
const person = element("select", { id: "person", "aria-label": "Whose turns are shown" });
function filter() {
  view.filter({ speaker: person.value || null, review: review.only.checked });
  search.refresh();
}
person.addEventListener("change", filter);
review.only.addEventListener("change", filter);

const help = element("button", { type: "button", id: "show-help", "aria-label": "Keys (?)", title: "Keys (?)", click: () => keyboard.help() }, "?");
const fold = iconButton("up", "Hide the lanes (L)", { id: "fold", "aria-expanded": "true", "aria-controls": "timeline", click: toggleLanes });
const side = element("div", { id: "side" }, lanes.zoomButtons, list.list);
const timeline = element("div", { id: "timeline" }, side, lanes.view);
const correctBar = element("div", { id: "correct-bar", role: "toolbar", "aria-label": "Corrections" });
const skip = element("button", { type: "button", class: "skip", click: () => view.list.querySelector('[tabindex="0"]')?.focus() }, "Skip to the transcript");
const top = element(
  "header", { id: "top" },
  skip,
  element("div", { class: "titles" }, title, facts),
  element("div", { class: "tools" }, search.bar, help, person, review.bar, fold),
  element("div", { class: "transport" }, controls.bar, lanes.overview),
  timeline,
  correctBar,
  notice,
);
const follow = new Follow(view, player, top);
controls.bar.append(follow.toggle);

function toggleLanes() {
  timeline.hidden = !timeline.hidden;
  fold.setAttribute("aria-expanded", String(!timeline.hidden));
  const label = `${timeline.hidden ? "Show" : "Hide"} the lanes (L)`;
  fold.title = label;
  fold.setAttribute("aria-label", label);
  fold.classList.toggle("turned", timeline.hidden);
}

const printed = element("div", { class: "printed" });
const transcript = element("section", { id: "transcript-view", "aria-label": "Transcript" }, printed, remark, view.list);
document.body.prepend(top);
page.append(transcript, figures.box);
document.body.append(follow.back, keyboard.dialog, live, speakers);

/** The timer of what is shown a moment later: it is below, or on paper. */
let rest;

/** Shows a document, whose people were read before, in all parts of the page. */
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
    ...people.labels.map((label) => element("option", { value: label }, people.name(label))),
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
      parts.push(doc.language); // not a language that the browser knows
    }
  }
  return parts.join(" · ");
}

/** The lanes as they are printed: the whole meeting with names and times. */
function printedLanes(doc) {
  const names = people.labels.map((label) => element("li", {}, people.swatch(label), " ", element("span", { dir: "auto" }, people.name(label))));
  const marks = [0, 0.25, 0.5, 0.75, 1].map((share) => element("span", {}, clock(share * doc.duration)));
  return [element("ul", {}, ...names), element("div", {}, lanesDrawing(doc, people), element("div", { class: "axis" }, ...marks))];
}

function showTime() {
  const { time } = player;
  controls.showTime();
  lanes.showTime(time);
  follow.show(view.showTime(time));
}

/** Selects a segment, jumps to it and shows it. */
function goTo(segment) {
  const { start, review: reasons } = view.doc.segments[segment];
  view.select(segment);
  seek(start);
  const article = view.articles[segment];
  view.reveal(article);
  article.focus({ preventScroll: true });
  if (reasons.length) announce(article.querySelector(".review-note").textContent);
}

/** Goes to the next (1) or previous (-1) segment that is shown. */
function stepSegment(by) {
  const { segments } = view.doc;
  let index = view.selectedSegment ?? view.intervals.before(player.time) - (by > 0 ? 1 : 0);
  do index += by;
  while (index >= 0 && index < segments.length && !view.shows(index));
  if (index >= 0 && index < segments.length) goTo(index);
}

/** Goes to the next (1) or previous (-1) word, on into the next segment. */
function stepWord(by) {
  const { segments } = view.doc;
  let segment = view.selectedSegment ?? Math.max(view.intervals.before(player.time), 0);
  if (!segments.length) return;
  let word = view.selectedWord === null ? (by > 0 ? 0 : -1) : (by > 0 ? view.selectedWords.last : view.selectedWord) + by;
  if (word < 0 || word >= segments[segment].words.length) {
    segment += by;
    if (segment < 0 || segment >= segments.length) return;
    word = by > 0 ? 0 : segments[segment].words.length - 1;
  }
  view.select(segment, word);
  seek(segments[segment].words[word].start);
  view.reveal(view.wordElement(segment, word));
}

/** What the marks of the page mean. */
function marks() {
  const rows = [
    [element("span", { class: "word doubtful" }, "word"), "the transcriber was not sure of it"],
    [element("span", { class: "sample person-0 to-review" }), "to review: listen again"],
    [element("span", { class: "sample band" }), "people speak at the same time"],
  ];
  return element("section", {}, element("h3", {}, "Marks"), element("dl", {}, ...rows.flatMap(([mark, text]) => [element("dt", {}, mark), element("dd", {}, text)])));
}

function solo(event) {
  const label = people.labels.find((one) => people.mark(one) === /\d/.exec(event.code)?.[0]);
  if (!label || !player.mix.voices.has(label)) return;
  player.toggleSolo(label);
  announce(player.mix.voices.get(label).solo ? `Only ${people.name(label)} is heard` : `${people.name(label)} is no longer alone`);
}

const digits = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(String);
keyboard.add("Sound", [
  { keys: [" "], shown: "Space", label: "Play or pause", run: () => player.toggle() },
  { keys: ["ArrowLeft"], shown: "←", label: "5 seconds back", run: () => seek(player.time - 5) },
  { keys: ["ArrowRight"], shown: "→", label: "5 seconds ahead", run: () => seek(player.time + 5) },
  { keys: ["Shift+ArrowLeft"], shown: "Shift ←", label: "1 second back", run: () => seek(player.time - 1) },
  { keys: ["Shift+ArrowRight"], shown: "Shift →", label: "1 second ahead", run: () => seek(player.time + 1) },
  { keys: ["[", "<"], label: "Slower", run: () => controls.stepRate(-1) },
  { keys: ["]", ">"], label: "Faster", run: () => controls.stepRate(1) },
]);
keyboard.add("People", [
  { keys: digits, shown: "1 … 9", label: "Hear this person alone, or no longer", run: solo },
  { keys: ["0"], label: "Hear everyone", run: () => (player.everyone(), announce("Everyone is heard")) },
]);
keyboard.add("Transcript", [
  { keys: ["ArrowUp"], shown: "↑", label: "Previous turn", run: () => stepSegment(-1) },
  { keys: ["ArrowDown"], shown: "↓", label: "Next turn", run: () => stepSegment(1) },
  { keys: [","], label: "Previous word", run: () => stepWord(-1) },
  { keys: ["."], label: "Next word", run: () => stepWord(1) },
  { keys: ["n"], label: "Next place to review", run: () => review.step(1) },
  { keys: ["p"], label: "Previous place to review", run: () => review.step(-1) },
  { keys: ["/"], label: "Search", run: () => search.focus() },
  { keys: ["f"], label: "Follow the sound", run: () => follow.set(!follow.on) },
]);
keyboard.add("Lanes", [
  { keys: ["+", "="], label: "Zoom in", run: () => lanes.zoom(0.5) },
  { keys: ["-"], label: "Zoom out", run: () => lanes.zoom(2) },
  { keys: ["l"], label: "Hide or show the lanes", run: toggleLanes },
]);
keyboard.add("Page", [{ keys: ["?"], label: "This list", run: () => keyboard.help() }]);

player.addEventListener("time", showTime);
const made = history.document;
const tracks = [...player.mix.owners.keys()];
/** Says whose the tracks are: where people were merged or have one name, one person has several. */
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
view.top = () => (getComputedStyle(top).position === "sticky" ? top.getBoundingClientRect().bottom : 0);
view.bottom = () => (getComputedStyle(controls.bar).position === "fixed" ? controls.bar.offsetHeight : 0);
new ResizeObserver(() => document.documentElement.style.setProperty("--top", `${top.offsetHeight}px`)).observe(top);
figures.box.open = matchMedia("(min-width: 1200px)").matches;
render(history.document);
attachCorrecting({
  history, view, people, keyboard, announce, legend: list.list, bar: correctBar, text: document.querySelector("#transcript").textContent,
  tracks,
});
