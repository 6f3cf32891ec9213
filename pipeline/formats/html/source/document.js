// What the page holds: the transcript in meetsplit's JSON, and where its sound is.

/** The transcript of a page, as its JSON says it (schema meetsplit/1). */
export function readDocument(page) {
  return JSON.parse(page.getElementById("transcript").textContent);
}

/**
 * Where the sound is: {recording, tracks: {SPEAKER_00: …}}, each null or {source, type}.
 * A source is "#sound-0" (an element of the page that holds the file in base64) or a path beside the page.
 */
export function readSound(page) {
  return JSON.parse(page.getElementById("sound").textContent);
}
