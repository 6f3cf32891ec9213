// The keys of the page, and the dialog that lists them.

import { element } from "./dom.js";

/**
 * @typedef {object} Key
 * @property {string[]} keys as `KeyboardEvent.key` has them, with "Shift+", "Ctrl+" (also ⌘) or "Alt+" before
 * @property {string} label what the key does
 * @property {string} [shown] the keys as the help shows them
 * @property {(event: KeyboardEvent) => void} run
 */

/** Listens to the keys of the page. Keys are left alone while one types, and where an element needs them itself. */
export class Keyboard {
  /** @param {Node[]} marks what else the help explains */
  constructor(marks) {
    this.marks = marks;
    this.groups = new Map();
    this.actions = new Map();
    this.dialog = element("dialog", { id: "help", "aria-labelledby": "help-title" });
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    document.addEventListener("keydown", (event) => this.#pressed(event));
    document.addEventListener("pointerdown", () => (this.pointed = true));
  }

  /**
   * Adds keys under a heading of the help.
   * @param {string} group
   * @param {Key[]} keys
   */
  add(group, keys) {
    this.groups.set(group, [...(this.groups.get(group) ?? []), ...keys]);
    for (const key of keys) for (const name of key.keys) this.actions.set(name, key);
  }

  /** Shows the list of keys. */
  help() {
    const lists = [...this.groups].map(([group, keys]) =>
      element(
        "section", {},
        element("h3", {}, group),
        element("dl", {}, ...keys.flatMap((key) => [element("dt", {}, ...shownKeys(key)), element("dd", {}, key.label)])),
      ),
    );
    this.dialog.replaceChildren(
      element("header", {}, element("h2", { id: "help-title" }, "Keys"), element("button", { type: "button", autofocus: true, click: () => this.dialog.close() }, "Close")),
      element("div", { class: "groups" }, ...lists, ...this.marks),
      element("p", {}, "This page needs no network and sends nothing: what you hear, read and change stays in this browser."),
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
    if (event.key === " " && this.pointed && target.closest?.("button, summary, input")) target.blur(); // after a click, Space plays
    const focused = document.activeElement;
    const key = this.actions.get(this.#name(event)) ?? (event.shiftKey && event.key.length === 1 ? this.actions.get(event.key) : undefined);
    if (!key || (needsKey(focused, event.key) && !modified) || (typing && !key.whileTyping)) return;
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
}

/** Whether an element that has the focus does something with the key itself. */
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
