// Colours of the page: readable on its paper, light and dark.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const css = readFileSync(new URL("../page.css", import.meta.url), "utf8");
const colour = /--([\w-]+): (#[0-9a-f]{3,6});/g;
const roots = [...css.matchAll(/:root \{([^}]*)\}/g)].map(([, block]) => Object.fromEntries([...block.matchAll(colour)].map(([, name, value]) => [name, value])));
const [light, dark, print] = roots.filter((colours) => colours["fill-0"]);

function luminance(hex) {
  const digits = hex.length === 4 ? [...hex.slice(1)].map((digit) => digit + digit) : hex.slice(1).match(/../g);
  const [r, g, b] = digits.map((pair) => parseInt(pair, 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a, b) {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

for (const [name, colours] of Object.entries({ light, dark, print })) {
  test(`${name}: text has a contrast of 4.5 to the paper, bars one of 3`, () => {
    const people = ["0", "1", "2", "3", "4", "5", "6", "7"];
    const texts = ["text", "muted", "review", ...people.map((person) => `ink-${person}`)];
    for (const text of texts) assert.ok(contrast(colours[text], colours.paper) >= 4.5, `${text}: ${contrast(colours[text], colours.paper)}`);
    for (const person of people) {
      const ratio = contrast(colours[`fill-${person}`], colours.paper);
      assert.ok(ratio >= 3, `fill-${person}: ${ratio}`);
    }
  });
}

test("marks of a search leave the text readable", () => {
  for (const colours of [light, dark]) {
    for (const mark of ["hit", "hit-current"]) assert.ok(contrast(colours.text, colours[mark]) >= 4.5, mark);
  }
});
