"""--clean: what is taken out, what hears the rest, which sound tracks have, and where nothing is to be taken out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meetsplit.pipeline.audio.reading import read
from meetsplit.pipeline.audio.resampling import resample
from meetsplit.pipeline.cache.stage_cache import StageCache
from meetsplit.pipeline.cleaners.embedded import EmbeddedCleaner
from meetsplit.pipeline.cleaners.windowed import OVERLAP, WINDOW, cleaned_blocks
from meetsplit.pipeline.data import Audio, Samples
from meetsplit.pipeline.errors import BrokenPromise, SettingsError
from meetsplit.pipeline.events import Event, Notice, Started
from meetsplit.pipeline.models.backend_choice import chosen_backend
from meetsplit.pipeline.models.selection import preflight
from meetsplit.pipeline.results.editing import publish_edit
from meetsplit.pipeline.results.writing import with_names
from meetsplit.pipeline.run import Pipeline, RecordingRun
from meetsplit.pipeline.settings import Outputs, Settings

RATE = 16000


class Halving:
    """A cleaner that takes half of everything out, and remembers the windows that it was given."""

    removes = frozenset({"music", "noise"})

    def __init__(self, rate: int = RATE, factor: float = 0.5) -> None:
        self.rate, self.factor = rate, np.float32(factor)
        self.windows: list[Audio] = []

    def clean(self, audio: Audio, kinds: Collection[str]) -> Audio:
        self.windows.append(audio)
        return audio.replaced(audio.samples * self.factor)


def pcm(audio: Audio) -> Samples:
    return np.asarray(np.rint(audio.samples * 32768), np.float32)


def noise(seconds: float, seed: int = 0) -> Samples:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def written(call: Any, cleaner: Any, **outputs: Any) -> tuple[Any, list[Event]]:
    """The results of the known call, half of which was taken out."""
    events: list[Event] = []
    settings = replace(call.settings, clean="all")
    pipeline = Pipeline(settings, on_event=events.append, loaded={"cleaner": cleaner})
    result = pipeline.run(call.path, outputs=Outputs(call.out, formats=("json",), **outputs), cache=True)
    return result, events


def test_windows_are_joined_without_a_seam_and_silence_is_not_cleaned() -> None:
    recording = Audio(np.concatenate([noise(70), np.zeros(40 * RATE, np.float32)]), RATE, 12.0)
    cleaner = Halving()
    blocks = list(cleaned_blocks(recording, cleaner, {"noise"}))
    cleaned = np.concatenate(blocks)
    assert max(map(len, blocks)) <= WINDOW * RATE
    assert np.allclose(cleaned, recording.samples / 2, atol=1e-6), "one fades into the other, and both are halves"
    assert [window.duration <= WINDOW for window in cleaner.windows] == [True] * 3
    assert cleaner.windows[1].start < cleaner.windows[0].span.end - OVERLAP + 1e-3


def test_a_cleaner_hears_at_its_own_rate_and_a_broken_one_is_told() -> None:
    recording = Audio(resample(Audio(noise(1), 8000), RATE).samples, RATE)
    (cleaned,) = cleaned_blocks(recording, Halving(rate=44100), {"music"})
    inner = slice(800, -800)
    assert np.abs(cleaned - recording.samples / 2)[inner].max() < 1e-3

    class Broken(Halving):
        def clean(self, audio: Audio, kinds: Collection[str]) -> Audio:
            return audio.replaced(audio.samples * np.float32(np.nan))

    class Short(Halving):
        def clean(self, audio: Audio, kinds: Collection[str]) -> Audio:
            return Audio(audio.samples[:-3], audio.rate, audio.start)

    for broken, message in ((Broken(), "not finite"), (Short(), "answered with")):
        with pytest.raises(BrokenPromise, match=message):
            list(cleaned_blocks(recording, broken, {"noise"}))


def test_everything_after_hears_the_cleaned_sound_and_tracks_are_the_recording(call: Any) -> None:
    result, events = written(call, Halving(), keep_background=True)
    recording = read(call.path)
    alone = slice(round(0.7 * RATE), round(1.8 * RATE))
    finished = read(result.tracks["SPEAKER_00"].path)
    assert np.array_equal(pcm(finished)[alone], pcm(recording)[alone]), "the recording, bit by bit"
    cached = read(call.kept("separate-*/SPEAKER_00.wav"))
    assert np.abs(pcm(cached)[alone] - pcm(recording)[alone] / 2).max() <= 1
    background = read(call.out / "call" / "background.wav")
    assert np.abs(pcm(background) + pcm(read(call.kept("clean-*/0.wav"))) - pcm(recording)).max() <= 1
    assert dict(result.made_by.settings)["clean"] == "all"
    assert next(record.stage for record in result.made_by.stages) == "cleaner"
    done = [event.stage for event in events if isinstance(event, Started)]
    assert done.index("clean") < done.index("separate")


@pytest.mark.parametrize("track_rate", ["source", 48000])
def test_tracks_of_the_cleaned_sound(call: Any, track_rate: str | int) -> None:
    result, _ = written(call, Halving(), track_sound="cleaned", track_rate=track_rate)
    cached = read(call.kept("separate-*/SPEAKER_00.wav"))
    finished = read(result.tracks["SPEAKER_00"].path)
    assert len(finished.samples) == len(cached.samples)
    if track_rate == "source":
        assert np.array_equal(finished.samples, cached.samples)
    else:
        assert np.abs(finished.samples - cached.samples).max() < 0.01, "what lies near 8 kHz comes back smaller"
    assert not (call.out / "call" / "background.wav").exists()


def test_where_next_to_nothing_is_to_be_taken_out_the_recording_stays_as_it_is(call: Any) -> None:
    result, events = written(call, Halving(factor=0.95), keep_background=True, track_sound="cleaned")
    alone = slice(round(0.7 * RATE), round(1.8 * RATE))
    recording = read(call.path)
    assert np.array_equal(read(call.kept("separate-*/SPEAKER_00.wav")).samples[alone], recording.samples[alone])
    assert np.array_equal(read(result.tracks["SPEAKER_00"].path).samples[alone], recording.samples[alone])
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert any("next to none of it and stays as it is" in notice for notice in notices)
    assert any("no background.wav: nothing was taken out" in notice for notice in notices)
    assert not list((call.cache / "runs").glob("*/clean-*/")), "no copy of the recording is kept"


def test_the_cleaned_sound_is_kept_and_done_again_where_it_is_damaged(call: Any) -> None:
    first, _ = written(call, Halving())
    again = Halving()
    second, events = written(call, again, track_sound="cleaned")
    assert again.windows == [], "it was kept"
    assert second.segments == first.segments
    assert "clean" not in [event.stage for event in events if isinstance(event, Started)]
    sound = call.kept("clean-*/0.wav")
    assert sound.stat().st_mode & 0o077 == 0
    sound.write_bytes(sound.read_bytes()[:-2] + b"\1\1")
    for kept in (call.cache / "runs").glob("*/[dst]*.json"):
        kept.unlink()
    third = Halving()
    _, events = written(call, third)
    assert len(third.windows) == 1
    assert any("damaged" in event.text for event in events if isinstance(event, Notice))


def test_cleaning_is_left_to_do_until_it_is_kept_or_nobody_hears_it(call: Any, tmp_path: Path) -> None:
    def opened() -> RecordingRun:
        pipeline = Pipeline(replace(call.settings, clean="all"), loaded={"cleaner": Halving()})
        return pipeline.open(call.path, StageCache(tmp_path / "cache"))

    run = opened()
    assert run.remaining_stages() == ("clean", "diarize", "separate", "transcribe")
    run.diarize()
    assert opened().remaining_stages() == ("separate", "transcribe")
    (cleaned,) = (tmp_path / "cache").glob("clean-*.json")
    cleaned.unlink()
    assert opened().remaining_stages() == ("clean", "separate", "transcribe")
    run.separate()
    assert opened().remaining_stages() == ("transcribe",), "which hears the tracks"


def test_each_channel_of_a_person_is_cleaned(call: Any, tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    call.write_pcm(path, [(noise(4, seed) * 32767).astype("<i2") for seed in (1, 2)])
    cleaner = Halving()
    settings = Settings(channels="split", clean="noise", script=call.script, cache_dir=call.cache, device="cpu")
    run = Pipeline(settings, loaded={"cleaner": cleaner}).open(path, StageCache(tmp_path / "cache"))
    run.diarize()
    assert len(cleaner.windows) == 2
    assert len(list((tmp_path / "cache").glob("clean-*/*.wav"))) == 2


def test_the_background_stays_when_people_are_named_and_goes_with_a_run_without_it(call: Any) -> None:
    result, _ = written(call, Halving(), keep_background=True)
    background = call.out / "call" / "background.wav"
    content = background.read_bytes()
    named = with_names(result, Outputs(names=(("SPEAKER_00", "background"),)))
    edit = publish_edit(call.out / "call.json", named)
    assert sorted(file.name for file in edit.tracks) == ["B.wav", "background-2.wav"]
    assert background.read_bytes() == content
    written(call, Halving(), keep_background=False)
    assert not background.exists()


def test_settings_that_ask_for_what_a_cleaner_cannot_do_are_refused_before_any_work() -> None:
    base = {"diarizer": "embedded", "transcriber": "sphinx", "separate": "off", "offline": True}
    for options, message in (
        ({"clean": "noise", "cleaner": "demucs"}, "demucs takes out music only: use --cleaner embedded"),
        ({"clean": "all", "cleaner": "openunmix"}, "music or noise, not both"),
        ({"clean": "music", "cleaner": "embedded", "cleaner_model": "x"}, "has its own model"),
        ({"clean": "music", "cleaner": "openunmix", "cleaner_model": "umx"}, "did you mean 'umx"),
    ):
        with pytest.raises(SettingsError, match=message):
            preflight(Settings(**base, **options))  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="--clean loud"):
        Settings(clean="loud")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="--track-sound both"):
        Outputs(track_sound="both")  # type: ignore[arg-type]


def test_naming_a_model_is_naming_its_cleaner() -> None:
    assert chosen_backend("cleaner", Settings(clean="music", cleaner_model="umxl")) == "openunmix"
    assert chosen_backend("cleaner", Settings(clean="music", cleaner_model="a/b")) == "demucs"


def si_sdr(wanted: Samples, sound: Samples) -> float:
    scaled = np.dot(wanted, sound) / np.dot(wanted, wanted) * wanted
    return float(10 * np.log10(np.sum(scaled**2) / np.sum((sound - scaled) ** 2)))


def talk(seconds: float) -> Samples:
    """A hum with syllables and pauses between words: a synthetic voice."""
    rng = np.random.default_rng(5)
    times = np.arange(round(seconds * RATE)) / RATE
    bends = np.arange(0.0, seconds + 1, 0.4)
    bend = np.interp(times, bends, rng.uniform(0.8, 1.25, len(bends)))
    phase = 2 * np.pi * np.cumsum(130 * bend) / RATE
    hum = sum(np.sin(k * phase + k) / k for k in range(1, 20))
    words = (np.sin(2 * np.pi * 0.7 * times) > -0.6) * (0.5 + 0.5 * np.sin(2 * np.pi * 3.1 * times))
    return (0.05 * hum * words).astype(np.float32)


def embedded() -> EmbeddedCleaner:
    from meetsplit.pipeline.cleaners.music import load_speech
    from meetsplit.pipeline.models import weights

    path = weights.locate(weights.SPEECH_SPECTRA, cache=Path("unused"))
    assert path is not None
    return EmbeddedCleaner(load_speech(path))


def test_embedded_takes_noise_out_and_leaves_clean_speech_alone() -> None:
    speech = talk(8)
    level = float(np.sqrt(np.mean(speech**2)))
    hiss = (level / np.sqrt(10) * np.random.default_rng(1).standard_normal(len(speech))).astype(np.float32)
    cleaner = embedded()
    clean, noisy = Audio(speech, RATE, 2.0), Audio(speech + hiss, RATE, 2.0)
    assert cleaner.clean(clean, {"noise", "music"}) is clean
    cleaned = cleaner.clean(noisy, {"noise"})
    assert si_sdr(speech, cleaned.samples) > si_sdr(speech, noisy.samples) + 3.0
    assert np.array_equal(cleaned.samples, cleaner.clean(noisy, {"noise"}).samples)
    assert (cleaned.start, len(cleaned.samples)) == (2.0, len(speech))


def test_embedded_takes_music_out_and_keeps_it_where_only_noise_is_to_go() -> None:
    speech = talk(8)
    times = np.arange(len(speech)) / RATE
    chord = sum(np.sin(2 * np.pi * f * times) for f in (220.0, 277.2, 329.6, 440.0))
    chord = chord + sum(np.sin(2 * np.pi * f * times) for f in (246.9, 311.1, 370.0)) * (
        np.sin(2 * np.pi * 0.5 * times) > 0
    )
    bed = (np.sqrt(np.mean(speech**2)) / np.sqrt(np.mean(chord**2)) / 2 * chord).astype(np.float32)
    mixed = Audio(speech + bed, RATE)
    cleaner = embedded()
    before = si_sdr(speech, mixed.samples)
    assert si_sdr(speech, cleaner.clean(mixed, {"music"}).samples) > before + 4.0
    assert si_sdr(speech + bed, cleaner.clean(mixed, {"noise"}).samples) > 6.0


@pytest.mark.parametrize("seconds", [0.0005, 0.03, 0.2])
def test_embedded_takes_the_shortest_windows(seconds: float) -> None:
    audio = Audio(noise(seconds), RATE)
    cleaned = embedded().clean(audio, {"music", "noise"})
    assert cleaned.samples.shape == audio.samples.shape
    assert np.isfinite(cleaned.samples).all()


def test_spectra_of_speech_are_drawn_from_everybody_and_the_shipped_ones_have_their_card(tmp_path: Path) -> None:
    from meetsplit.pipeline.audio.reading import write_wav
    from meetsplit.pipeline.cleaners.music import FRAME, load_speech
    from meetsplit.pipeline.models import weights
    from meetsplit.training import speech_spectra

    for number in range(3):
        write_wav(tmp_path / f"{number}-a.wav", Audio(talk(2 + number), RATE))
    made = tmp_path / "out" / "speech.safetensors"
    speech_spectra.main(["--data", str(tmp_path), "--spectra", "10", "-o", str(made), "--about", "a test"])
    spectra = load_speech(made)
    assert spectra.shape == (FRAME // 2 + 1, 10)
    assert np.allclose(spectra.sum(dim=0).numpy(), 1.0, atol=1e-3)
    assert "10 spectra of 3 people" in made.with_suffix(".md").read_text("utf-8")
    shipped = weights.locate(weights.SPEECH_SPECTRA, cache=tmp_path)
    assert shipped is not None
    assert str(weights.SPEECH_SPECTRA.sha256) in shipped.with_suffix(".md").read_text("utf-8")


def test_less_music_is_taken_out_the_quieter_the_pauses_are() -> None:
    cleaner = embedded()
    times = np.arange(6 * RATE) / RATE
    bursts = noise(6.0) * (np.sin(2 * np.pi * times) > 0)
    chord = np.sum([np.sin(2 * np.pi * pitch * times) for pitch in (220, 277, 330)], axis=0).astype(np.float32)

    def taken(level: float) -> float:
        """The share of the chord's energy that is taken out of the pauses."""
        sound = (bursts + level * chord).astype(np.float32)
        pauses = bursts == 0
        left = cleaner.clean(Audio(sound, RATE), {"music"}).samples
        return 1.0 - float(np.square(left[pauses]).sum() / np.square(sound[pauses]).sum())

    near, far, next_to_nothing = (taken(level) for level in (0.02, 0.013, 0.005))
    assert near > far > next_to_nothing == 0.0
