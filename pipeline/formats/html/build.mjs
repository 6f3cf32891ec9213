// Builds page.js of source/: one script, which begins with the SHA-256 of what it was built from.

import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { build } from "esbuild";

/** The SHA-256 over the names and contents of all sources; tests/test_html_build.py computes the same. */
function sourceDigest() {
  const digest = createHash("sha256");
  for (const name of readdirSync("source").filter((file) => file.endsWith(".js")).sort()) {
    digest.update(`${name}\0`).update(readFileSync(`source/${name}`)).update("\0");
  }
  return digest.digest("hex");
}

await build({
  entryPoints: ["source/main.js"],
  outfile: "page.js",
  bundle: true,
  format: "iife",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  banner: { js: `// Built by \`npm run build\` of source/*.js, SHA-256 ${sourceDigest()}` },
});
