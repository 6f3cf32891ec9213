// Built by `npm run build` of source/*.js, SHA-256 26150196067c8e2bc39e0dd22ca1d5c94da1b75f339f6b5f9156e044d42de5d6
(() => {
  // source/document.js
  function readDocument(page) {
    return JSON.parse(page.getElementById("transcript").textContent);
  }

  // source/main.js
  var transcript = readDocument(document);
  document.querySelector("#page").textContent = transcript.recording;
})();
