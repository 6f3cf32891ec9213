// The controls of the sound: play, the moment, the speed, and whether the transcript follows.

import { element, icon, iconButton } from "./dom.js";
import { clock } from "./timeline.js";

export const RATES = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2];

/** Play button, clock and speed of a player; `bar` is their element. */
export class Controls {
  /** @param {import("./player.js").Player} player */
  constructor(player) {
    this.player = player;
    this.button = element("button", { type: "button", class: "play", "aria-label": "Play", title: "Play (Space)", click: () => player.toggle() }, icon("play"));
    this.back = iconButton("previous", "5 seconds back (←)", { click: () => player.seek(player.time - 5) });
    this.ahead = iconButton("next", "5 seconds ahead (→)", { click: () => player.seek(player.time + 5) });
    this.moment = element("span", { class: "moment" });
    this.length = element("span", { class: "length" });
    this.speed = element(
      "select", { class: "speed", "aria-label": "Speed", title: "Speed ([ and ])", change: () => player.setRate(Number(this.speed.value)) },
      ...RATES.map((rate) => element("option", { value: rate, selected: rate === 1 }, `${rate}×`)),
    );
    this.bar = element(
      "div", { class: "controls", role: "group", "aria-label": "Sound" },
      this.back, this.button, this.ahead, element("span", { class: "clock", role: "timer", "aria-live": "off" }, this.moment, this.length), this.speed,
    );
    if (!player.hasSound) {
      this.button.disabled = this.speed.disabled = true;
      this.button.title = "This page has no sound";
    }
    player.addEventListener("state", () => this.#showState());
    player.addEventListener("time", () => this.showTime());
  }

  /** Shows the moment that is played, and the meeting's length. */
  showTime() {
    const text = clock(this.player.time, 1);
    if (this.moment.textContent !== text) this.moment.textContent = text;
    const length = ` / ${clock(this.player.duration)}`;
    if (this.length.textContent !== length) this.length.textContent = length;
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
}
