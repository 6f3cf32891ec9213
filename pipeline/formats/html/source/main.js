// The page of a transcript: starts everything when the document is there.

import { readDocument } from "./document.js";

const transcript = readDocument(document);
document.querySelector("#page").textContent = transcript.recording;
