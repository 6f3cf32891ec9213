(() => {
  // source/document.js
  function readDocument(page) {
    return JSON.parse(page.getElementById("transcript").textContent);
  }

  // source/main.js
  var transcript = readDocument(document);
  document.querySelector("#page").textContent = transcript.recording;
})();
