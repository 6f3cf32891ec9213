// A menu that opens beside a button or a place in the transcript.

import { element } from "./dom.js";

/**
 * @typedef {object} MenuItem
 * @property {string} label
 * @property {() => void} run
 * @property {Node} [mark] what stands before the label
 * @property {string} [key] a letter or digit that chooses the item
 * @property {boolean} [checked] whether it is the chosen one of its kind: it is a radio item then
 */

/** The one open menu of the page. */
export class Menu {
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
  open(anchor, label, sections, focused = 0, place = anchor) {
    this.close();
    this.anchor = anchor;
    this.items = [];
    const parts = sections.map(([heading, items]) =>
      element("div", { role: "group", "aria-label": heading }, heading ? element("p", { "aria-hidden": "true" }, heading) : null, ...items.map((item) => this.#item(item))),
    );
    this.box.replaceChildren(...parts);
    this.box.setAttribute("aria-label", label);
    this.box.hidden = false;
    this.#place(place.getBoundingClientRect());
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
    const isRadio = item.checked !== undefined;
    const button = element(
      "button",
      {
        type: "button", role: isRadio ? "menuitemradio" : "menuitem", tabindex: -1, click: () => this.#choose(item),
        ...(isRadio ? { "aria-checked": String(item.checked) } : {}), ...(item.key ? { "aria-keyshortcuts": item.key } : {}),
      },
      item.mark ?? null,
      element("span", { dir: "auto" }, item.label),
      item.key ? element("kbd", { "aria-hidden": "true" }, item.key) : null,
    );
    this.items.push({ ...item, button });
    return button;
  }

  #choose(item) {
    this.close();
    item.run();
  }

  #place({ left, top, bottom }) {
    const { offsetWidth: width, offsetHeight: height } = this.box;
    const below = bottom + 4 + height <= innerHeight || top < height;
    this.box.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
    this.box.style.top = `${Math.max(8, Math.min(below ? bottom + 4 : top - 4 - height, innerHeight - height - 8))}px`;
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
}
