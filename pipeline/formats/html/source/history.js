// The history of a document: its corrections in order, which can be undone and done again.

/** The document as it is now, with what led to it. */
export class History {
  #states;
  #at = 0;
  #listeners = new Set();

  constructor(doc) {
    this.#states = [{ description: "", document: doc }];
  }

  /** The document as it is now. */
  get document() {
    return this.#states[this.#at].document;
  }

  /** The document as it was at first. */
  get original() {
    return this.#states[0].document;
  }

  /** How many corrections lead from the document as it was to the one that it is. */
  get count() {
    return this.#at;
  }

  /** Make a correction: `description` says it in a few words. A document that is the same already is none. */
  apply(description, newDoc) {
    if (newDoc === this.document) return;
    this.#states.splice(this.#at + 1, Infinity, { description, document: newDoc });
    this.#go(this.#at + 1);
  }

  /** Take the latest correction back; returns its description, or null where there is none. */
  undo() {
    const { undoes } = this;
    if (undoes !== null) this.#go(this.#at - 1);
    return undoes;
  }

  /** Make the correction again that was undone last; returns its description, or null where there is none. */
  redo() {
    const { redoes } = this;
    if (redoes !== null) this.#go(this.#at + 1);
    return redoes;
  }

  get canUndo() {
    return this.#at > 0;
  }

  get canRedo() {
    return this.#at < this.#states.length - 1;
  }

  /** The description of the correction that `undo` takes back, or null. */
  get undoes() {
    return this.canUndo ? this.#states[this.#at].description : null;
  }

  /** The description of the correction that `redo` makes again, or null. */
  get redoes() {
    return this.canRedo ? this.#states[this.#at + 1].description : null;
  }

  /** Call `listener` with this history after every change; returns a function that ends it. */
  onChange(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #go(at) {
    this.#at = at;
    for (const listener of [...this.#listeners]) listener(this);
  }
}
