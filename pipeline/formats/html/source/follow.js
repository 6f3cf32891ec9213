// Following: the transcript scrolls with the sound until the reader scrolls.

import { element } from "./dom.js";

const SCROLLING_KEYS = new Set(["PageUp", "PageDown", "Home", "End"]);

/** Keeps what is spoken in view while the sound plays. `toggle` is its switch, `back` takes a reader back to it. */
export class Follow {
  /**
   * @param {import("./transcript_view.js").TranscriptView} view
   * @param {import("./player.js").Player} player
   * @param {HTMLElement} bars the part of the page in which scrolling is no reading
   */
  constructor(view, player, bars) {
    this.view = view;
    this.player = player;
    this.on = true;
    this.toggle = element("button", { type: "button", id: "follow", "aria-pressed": "true", title: "Scroll with the sound (F)", click: () => this.set(!this.on) }, "Follow");
    this.back = element("button", { type: "button", id: "back-to-sound", hidden: true, click: () => this.set(true) }, "Back to the sound");
    const scrolled = (event) => {
      if (!bars.contains(event.target) && player.playing) this.set(false);
    };
    addEventListener("wheel", scrolled, { passive: true });
    addEventListener("touchmove", scrolled, { passive: true });
    addEventListener("keydown", (event) => SCROLLING_KEYS.has(event.key) && player.playing && this.set(false));
    addEventListener("pointerdown", (event) => event.target === document.documentElement && scrolled(event)); // the scroll bar
    player.addEventListener("state", () => this.#show());
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
}
