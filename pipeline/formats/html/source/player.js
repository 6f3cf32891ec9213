// The sound of the page: the recording, or the tracks of those who are to be heard, kept in step.

import { element } from "./dom.js";
import { Mix } from "./mix.js";

const RECORDING = Symbol("recording");
const CHECKED_EVERY = 150; // milliseconds
const IN_STEP = 0.005; // seconds
const DRIFTED = 0.02;
const LOST = 0.25;
const PATIENCE = 500; // milliseconds

/**
 * Plays the meeting at any mix of its people. Events: `time` (the moment changed), `state` (playing or not, speed),
 * `mix` (who is heard), `problem` (detail: a sentence).
 *
 * There is an audio element for the recording and one for each track, made when first needed. As long as everyone is
 * heard as recorded, the recording plays; else the tracks of those who are heard. The first of the elements that play
 * is the clock; the others are kept to it by a slightly different speed, or by a jump where they are far away.
 */
export class Player extends EventTarget {
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
    this.elements = new Map();
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
    // Sound that nobody has asked for yet is not decoded.
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
    const start = (this.start = {}); // a later start takes the place of this one
    if (!active.every(ready)) {
      for (const audio of active) if (active.length > 1) audio.pause();
      await Promise.race([Promise.all(active.map(untilReady)), new Promise((done) => setTimeout(done, PATIENCE))]);
    }
    if (start === this.start && this.playing) for (const audio of active) this.#start(audio);
  }

  #start(audio) {
    audio.play().catch((error) => {
      if (error.name === "AbortError" || !this.playing) return; // paused again before it had begun
      this.pause();
      this.#problem(audio, error.name === "NotAllowedError" ? "The browser did not let the page play sound; press play again." : "");
    });
  }

  #element(key) {
    let audio = this.elements.get(key);
    if (!audio) {
      const { source } = key === RECORDING ? this.sound.recording : this.sound.tracks[key];
      audio = element("audio", { preload: "auto", ...(key === RECORDING ? { "data-recording": true } : { "data-speaker": key }) });
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

  #problem(audio, sentence = "") {
    const { source } = audio.dataset;
    const detail = sentence || (source.startsWith("#")
      ? "This browser cannot play the sound in this page."
      : `The sound file ${source} cannot be played; it belongs beside this page, in the place where it was written.`);
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
    const [clock, ...others] = this.active;
    if (!clock || clock.seeking || clock.paused) return;
    for (const audio of others) {
      if (audio.seeking || audio.paused || audio.readyState < 3) continue;
      const drift = audio.currentTime - clock.currentTime;
      const correcting = audio.playbackRate !== this.rate;
      if (Math.abs(drift) > LOST) {
        audio.currentTime = clock.currentTime;
        audio.playbackRate = this.rate;
      } else if (Math.abs(drift) > (correcting ? IN_STEP : DRIFTED)) {
        audio.playbackRate = this.rate * (1 - Math.min(Math.max(drift * 2, -0.12), 0.12));
      } else if (correcting) {
        audio.playbackRate = this.rate;
      }
    }
  }
}

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

/** Puts an element at a moment, now or as soon as it knows its length. */
function place(audio, time) {
  if (audio.readyState > 0) {
    audio.currentTime = time;
  } else {
    audio.dataset.at = String(time);
    audio.addEventListener("loadedmetadata", () => (audio.currentTime = Number(audio.dataset.at)), { once: true });
  }
}

/** A path beside the page as the browser needs it: names of files may hold any sign, such as # or ?. */
function address(path) {
  return path.split("/").map(encodeURIComponent).join("/");
}

/** An address of the sound that an element of the page holds in base64. */
function blobUrl(id, sound, key) {
  const { type } = key === RECORDING ? sound.recording : sound.tracks[key];
  const text = document.getElementById(id).textContent.trim();
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type }));
}
