// The mix of a meeting's voices: who is heard, and how loud.

/** Solo, mute and volume of each person who has a track. */
export class Mix {
  /** @param {string[]} speakers those with a track of their own */
  constructor(speakers) {
    this.voices = new Map(speakers.map((speaker) => [speaker, { solo: false, muted: false, volume: 1 }]));
  }

  /** How loud a person is heard: 0 to 1, and 0 for those without a track. */
  gain(speaker) {
    const voice = this.voices.get(speaker);
    if (!voice) return 0;
    const alone = [...this.voices.values()].some(({ solo }) => solo);
    return (alone ? voice.solo : !voice.muted) ? voice.volume : 0;
  }

  /** Whether everyone is heard as they were recorded: the recording itself says the same, and better. */
  get untouched() {
    return [...this.voices.keys()].every((speaker) => this.gain(speaker) === 1);
  }

  /** Changes some of a person's solo, muted and volume. */
  change(speaker, changes) {
    const voice = this.voices.get(speaker);
    if (voice) Object.assign(voice, changes);
  }

  /** Everyone is heard again, as loud as recorded. */
  reset() {
    for (const voice of this.voices.values()) Object.assign(voice, { solo: false, muted: false, volume: 1 });
  }
}
