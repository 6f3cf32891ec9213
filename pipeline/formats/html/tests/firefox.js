// Opens a page in Firefox, without a window, and prints what happens there as JSON:
//     node tests/firefox.js /usr/bin/firefox-esr file:///…/stand-up.html '{"speaker": "SPEAKER_01", "word": [1, 2]}'
// The word is clicked and the page plays, everyone and then the speaker alone; then the word is clicked again.

import puppeteer from "puppeteer-core";

const [executablePath, address, wishes] = process.argv.slice(2);
const { speaker, word: [segment, number] } = JSON.parse(wishes);
const PATIENCE = 120_000; // milliseconds: other processes take turns with the browser
const browser = await puppeteer.launch({
  browser: "firefox", executablePath, headless: true, timeout: PATIENCE, protocolTimeout: PATIENCE, defaultViewport: { width: 800, height: 700 },
  // Less work for the processor: one process for pages, few frames.
  extraPrefsFirefox: { "dom.ipc.processCount": 1, "dom.ipc.processPrelaunch.enabled": false, "layout.frame_rate": 10 },
});
try {
  const complaints = [];
  const page = await browser.newPage();
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(address);
  const seen = { title: await page.title(), words: await page.$$eval(".word", (words) => words.length) };

  // Without a sound card Firefox plays nothing, except into a stream.
  await page.evaluate(() => {
    const observer = new MutationObserver((changes) => changes.forEach(({ addedNodes }) => addedNodes.forEach((audio) => audio.mozCaptureStream())));
    observer.observe(document.querySelector("#audio"), { childList: true });
  });
  const word = `[data-segment="${segment}"] [data-word="${number}"]`;
  await page.click(word);
  await page.click(".play");
  seen.together = await playing(page);
  await page.click(`#people [data-speaker="${speaker}"] .solo`);
  seen.alone = await playing(page, speaker);
  await page.click(".play");
  await page.click(word);
  seen.moment = await page.$eval(`#audio [data-speaker="${speaker}"]`, (audio) => audio.currentTime);
  seen.shown = await page.$eval(".moment", (moment) => moment.textContent);
  console.log(JSON.stringify({ ...seen, complaints, version: await browser.version() }));
} finally {
  await browser.close();
}

/** Which elements play, as soon as the time of the one that is waited for goes on: the speaker's, else the recording. */
async function playing(page, wanted = "recording") {
  return page.evaluate(async (name, patience) => {
    const named = (audio) => audio.dataset.speaker ?? "recording";
    const times = new Map();
    for (const began = performance.now(); performance.now() < began + patience; await new Promise((resolve) => setTimeout(resolve, 50))) {
      const audios = [...document.querySelectorAll("#audio audio")].filter((audio) => !audio.paused && !audio.muted && audio.volume > 0);
      const audio = audios.find((one) => named(one) === name && !one.seeking);
      if (audio && times.has(audio) && audio.currentTime > times.get(audio)) return audios.map(named);
      if (audio) times.set(audio, audio.currentTime);
    }
    return [`nothing: ${document.querySelector("#notice").textContent}`];
  }, wanted, PATIENCE / 2);
}
