// Drafts: corrections kept in this browser while they are made, so that a reload or a crash loses none.
//
// A draft holds what differs from the transcript of the page: it is small, and the browser's storage of pages takes it
// at once. Pages from disk may share one storage: a draft's key is made of the whole text of its transcript.

const PREFIX = "meetsplit:draft:";
const VERSION = 1;

/** The key of the drafts of the transcript with that text (JSON): a hash of 106 bits. */
export function draftKey(text) {
  return `${PREFIX}${hash(text, 0)}${hash(text, 1)}`;
}

/** cyrb53 (bryc, public domain): 53 bits of a text, in base 36. */
function hash(text, seed) {
  let a = 0xdeadbeef ^ seed;
  let b = 0x41c6ce57 ^ seed;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return (4294967296 * (2097151 & b) + (a >>> 0)).toString(36).padStart(11, "0");
}

/** What differs between a document and its original, as JSON takes it: lists as runs of what is unchanged, and new items. */
export function differences(original, doc) {
  const changed = {};
  for (const key of Object.keys(doc)) {
    if (doc[key] === original[key]) continue;
    changed[key] = Array.isArray(doc[key]) && Array.isArray(original[key])
      ? { runs: runs(original[key], doc[key]) }
      : { value: doc[key] };
  }
  return changed;
}

/** The document that differs from its original like that. */
export function withDifferences(original, changed) {
  const doc = { ...original };
  for (const [key, change] of Object.entries(changed)) {
    doc[key] = "runs" in change
      ? change.runs.flatMap((run) => (Array.isArray(run) ? original[key].slice(run[0], run[1]) : [run.item]))
      : change.value;
  }
  return doc;
}

/** A list in terms of another one: [first, end] for items that both share, {item} for others. */
function runs(originals, items) {
  const places = new Map(originals.map((item, at) => [item, at]));
  const found = [];
  for (const item of items) {
    const at = places.get(item);
    const last = found.at(-1);
    if (at === undefined) found.push({ item });
    else if (Array.isArray(last) && last[1] === at) last[1] = at + 1;
    else found.push([at, at + 1]);
  }
  return found;
}

/** The draft of one transcript in a browser's storage (`localStorage`; null where the browser allows none). */
export class Drafts {
  #storage;
  #key;
  #original;

  constructor(storage, key, original) {
    this.#storage = storage;
    this.#key = key;
    this.#original = original;
  }

  /** The key of the draft. */
  get key() {
    return this.#key;
  }

  /** The draft that was kept: {document, at: Date, isSaved}; null where there is none that can be read. */
  load() {
    try {
      const draft = JSON.parse(this.#storage.getItem(this.#key));
      if (draft?.version !== VERSION) return null;
      const document = withDifferences(this.#original, draft.changed);
      return { document, at: new Date(draft.at), isSaved: draft.isSaved === true };
    } catch {
      return null; // no storage, or not what we wrote
    }
  }

  /** Keep a document, or nothing where it is the original; returns whether that worked. `isSaved`: it is in a file, too. */
  keep(doc, isSaved = false) {
    if (doc === this.#original) return this.discard();
    const changed = differences(this.#original, doc);
    const draft = JSON.stringify({ version: VERSION, at: new Date().toISOString(), isSaved, changed });
    for (;;) {
      try {
        this.#storage.setItem(this.#key, draft);
        return true;
      } catch {
        if (!this.#makeRoom()) return false;
      }
    }
  }

  /** Forget the draft; returns whether that worked. */
  discard() {
    try {
      this.#storage.removeItem(this.#key);
      return true;
    } catch {
      return false;
    }
  }

  /** Remove the oldest draft of another transcript that is in a file as well; false where there is none. */
  #makeRoom() {
    try {
      const others = [];
      for (let number = 0; number < this.#storage.length; number++) {
        const key = this.#storage.key(number);
        if (!key.startsWith(PREFIX) || key === this.#key) continue;
        const draft = JSON.parse(this.#storage.getItem(key));
        if (draft.isSaved === true) others.push({ key, at: draft.at });
      }
      others.sort((a, b) => (a.at < b.at ? -1 : 1));
      if (others.length === 0) return false;
      this.#storage.removeItem(others[0].key);
      return true;
    } catch {
      return false;
    }
  }
}
