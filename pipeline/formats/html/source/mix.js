// The mix of a meeting's voices: who is heard, and how loud.

const AS_RECORDED = { solo: false, muted: false, volume: 1 };

/** Solo, mute and volume of each person who has a track. */
export class Mix {
  /** @param {string[]} speakers those with a track of their own */
  constructor(speakers) {
    this.voices = new Map(speakers.map((speaker) => [speaker, { ...AS_RECORDED }]));
    this.owners = new Map(speakers.map((speaker) => [speaker, speaker]));
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
}

/**
 * The person whom each track belongs to: its own, or after two people were merged the one who has its turns now.
 * @param {string[]} tracks labels of the people whom the tracks were made for
 * @param {{turns: {start: number, end: number, speaker: string}[]}} made the document that they were made with
 * @param {{speakers: object, turns: {start: number, end: number, speaker: string}[]}} doc the document as it is
 * @returns {[string, string | null][]} null where nobody has any of its turns
 */
export function trackOwners(tracks, made, doc) {
  return tracks.map((track) => [track, Object.hasOwn(doc.speakers, track) ? track : ownerOf(track, made, doc)]);
}

function ownerOf(track, made, doc) {
  const own = made.turns.filter(({ speaker }) => speaker === track);
  const seconds = new Map();
  for (const { start, end, speaker } of doc.turns) {
    const shared = own.reduce((sum, turn) => sum + Math.max(0, Math.min(end, turn.end) - Math.max(start, turn.start)), 0);
    seconds.set(speaker, (seconds.get(speaker) ?? 0) + shared);
  }
  const [owner, most] = [...seconds].reduce((best, one) => (one[1] > best[1] ? one : best), [null, 0]);
  return most > 0 ? owner : null;
}
