import assert from "node:assert/strict";
import { test } from "node:test";

import { changeWord, mergePeople, renamePerson, splitSegment } from "../source/corrections.js";
import { Drafts, differences, draftKey, withDifferences } from "../source/drafts.js";
import { random, randomDocument } from "./documents.js";

/** A storage like a browser's, which takes `room` letters. */
class FakeStorage {
  #items = new Map();

  constructor(room = Infinity) {
    this.room = room;
  }

  get length() {
    return this.#items.size;
  }

  key(number) {
    return [...this.#items.keys()][number];
  }

  getItem(key) {
    return this.#items.get(key) ?? null;
  }

  setItem(key, value) {
    const others = [...this.#items].filter(([other]) => other !== key).reduce((sum, [, text]) => sum + text.length, 0);
    if (others + value.length > this.room) throw new Error("QuotaExceededError");
    this.#items.set(key, value);
  }

  removeItem(key) {
    this.#items.delete(key);
  }
}

function corrected(doc) {
  const named = renamePerson(doc, "SPEAKER_00", "Ada");
  const split = splitSegment(named, named.segments.findIndex(({ words }) => words.length > 1), 1);
  return mergePeople(changeWord(split, 3, 0, "three new words"), "SPEAKER_01", "SPEAKER_00");
}

test("what differs from the original is small and gives the same document again", () => {
  for (let seed = 0; seed < 5; seed++) {
    const doc = randomDocument(random(seed), { segments: 120 });
    const changed = differences(doc, changeWord(doc, 7, 0, "another"));
    assert.ok(JSON.stringify(changed).length < 2000);
    const other = corrected(doc);
    assert.deepEqual(withDifferences(doc, JSON.parse(JSON.stringify(differences(doc, other)))), other);
  }
});

test("a draft is kept until it is discarded or undone", () => {
  const storage = new FakeStorage();
  const doc = randomDocument(random(1));
  const drafts = new Drafts(storage, draftKey("text"), doc);
  assert.equal(drafts.load(), null);
  assert.equal(drafts.keep(corrected(doc)), true);
  const draft = new Drafts(storage, draftKey("text"), doc).load();
  assert.deepEqual(draft.document, corrected(doc));
  assert.equal(draft.isSaved, false);
  assert.ok(Date.now() - draft.at < 60_000);
  assert.equal(new Drafts(storage, draftKey("texT"), doc).load(), null);
  drafts.keep(doc);
  assert.equal(storage.length, 0);
});

test("a full storage is told, and takes the place of drafts only where these are saved in files", () => {
  const doc = randomDocument(random(2));
  const storage = new FakeStorage(3000);
  storage.setItem("of another page", "x".repeat(200));
  new Drafts(storage, draftKey("unsaved"), doc).keep(renamePerson(doc, "SPEAKER_00", "Eve"));
  new Drafts(storage, draftKey("saved"), doc).keep(renamePerson(doc, "SPEAKER_00", "Eve".repeat(300)), true);
  const drafts = new Drafts(storage, draftKey("new"), doc);
  assert.equal(drafts.keep(renamePerson(doc, "SPEAKER_00", "Ada".repeat(500))), true);
  assert.equal(storage.getItem(draftKey("saved")), null);
  assert.equal(drafts.keep(renamePerson(doc, "SPEAKER_00", "Ada".repeat(2000))), false);
  assert.equal(drafts.load().document.speakers.SPEAKER_00, "Ada".repeat(500));
  assert.notEqual(storage.getItem(draftKey("unsaved")), null);
  assert.notEqual(storage.getItem("of another page"), null);
});

test("no storage, or rubbish in it, is no draft", () => {
  const doc = randomDocument(random(3));
  const none = new Drafts(null, draftKey("x"), doc);
  assert.deepEqual([none.load(), none.keep(corrected(doc)), none.discard()], [null, false, false]);
  const storage = new FakeStorage();
  for (const text of ["", "{", "null", '{"version":1}', '{"version":1,"changed":{"segments":{"runs":[[0]]}}}', '{"version":9}']) {
    storage.setItem(draftKey("x"), text);
    assert.doesNotThrow(() => new Drafts(storage, draftKey("x"), doc).load());
  }
});
