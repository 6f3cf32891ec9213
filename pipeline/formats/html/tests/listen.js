// How loud each frequency is in what a page plays at this moment, for tests in browsers; null where it is not known yet.

export default (frequencies) => {
  const listening = window.listening ??= { context: new AudioContext({ sampleRate: 16000 }), ears: new Map() };
  const { context, ears } = listening;
  context.resume();
  const heard = frequencies.map(() => 0);
  for (const audio of document.querySelectorAll("audio")) {
    if (audio.paused || audio.muted || !audio.volume) continue;
    let ear = ears.get(audio);
    if (!ear || ear.stream.getAudioTracks()[0]?.readyState !== "live") {
      const stream = audio.captureStream ? audio.captureStream() : audio.mozCaptureStream();
      if (!stream.getAudioTracks().length) return null;
      const analyser = new AnalyserNode(context, { fftSize: 2048, smoothingTimeConstant: 0 });
      const source = context.createMediaStreamSource(stream);
      source.connect(analyser);
      ear = { stream, source, analyser, since: performance.now() };
      ears.set(audio, ear);
    }
    if (performance.now() - ear.since < 300) return null; // its window is not full yet
    const levels = new Float32Array(ear.analyser.frequencyBinCount);
    ear.analyser.getFloatFrequencyData(levels);
    const width = context.sampleRate / ear.analyser.fftSize;
    frequencies.forEach((frequency, i) => {
      const middle = Math.round(frequency / width);
      heard[i] += audio.volume * 10 ** (Math.max(...levels.slice(middle - 2, middle + 3)) / 20);
    });
  }
  return heard;
};
