"""The recipe of the refiner: resuming, the card, mixtures that share nothing with their dictionaries, the U-Net."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from meetsplit.pipeline.audio.reading import write_wav
from meetsplit.pipeline.data import Audio
from meetsplit.pipeline.separators import mask_refiner
from meetsplit.pipeline.separators.adapted_mixtures import MixtureBatch
from meetsplit.pipeline.separators.adapted_speech import Excerpt, SpeakerSpeech
from meetsplit.pipeline.separators.dictionary import HOP
from meetsplit.training import refiner, refiner_exam, refiner_mixtures, refiner_networks, unet
from meetsplit.training.refiner_mixtures import LESSON_KINDS, AugmentationProbabilities, LessonKind
from meetsplit.training.unet import UNet, UNetConfig
from meetsplit.training.vocal_tract import warp_formants

RATE = 16_000


def hum(pitch: float, seconds: float, seed: int) -> Audio:
    """A synthetic voice: harmonics with syllables."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    bend = np.interp(t, np.arange(0, seconds + 1, 0.5), rng.uniform(0.9, 1.1, len(np.arange(0, seconds + 1, 0.5))))
    phase = 2 * np.pi * np.cumsum(pitch * bend) / RATE
    sound = sum(np.sin(k * phase) / k for k in range(1, 10)) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t + seed))
    return Audio((0.05 * sound).astype(np.float32), RATE)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two training and two held-out speakers, told apart by their names."""
    kinds: dict[bool, list[str]] = {True: [], False: []}
    for number in range(200):
        name = f"s{number}"
        kinds[name in refiner.split_speakers({name: []})[1]].append(name)
    folder = tmp_path / "speech"
    folder.mkdir()
    for index, name in enumerate([*kinds[True][:2], *kinds[False][:2]]):
        write_wav(folder / f"{name}-1.wav", hum(90.0 + 40 * index, 8.0, index))
    return folder


def test_it_resumes_and_writes_a_card(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(refiner_mixtures, "SHARD_SIZE", 4)
    monkeypatch.setattr(refiner_mixtures, "ROOM_COUNT", 1)
    monkeypatch.setattr(refiner, "BATCH_SIZE", 2)
    out = tmp_path / "made" / "refiner.safetensors"
    small = ["--lessons", "4", "--exam", "2", "--width", "8", "--blocks", "1", "--about", "made up, CC0"]
    arguments = ["refiner", "--data", str(data), "--cache", str(tmp_path / "cache"), "-o", str(out), *small]
    steps = []
    for minutes in ("0.01", "0.01"):
        monkeypatch.setattr(sys, "argv", [*arguments, "--minutes", minutes])
        refiner.main()
        output = capsys.readouterr().out
        assert "2 people to learn from, 2 held out" in output
        assert ("going on at step" in output) == bool(steps)
        steps.append(torch.load(tmp_path / "cache" / "state.pt", weights_only=True)["step"])
    assert 0 < steps[0] < steps[1]
    assert mask_refiner.load(out).config.width == 8
    card = out.with_suffix(".md").read_text("utf-8")
    assert "made up, CC0" in card
    assert " steps of 2 mixtures, dictionaries alone " in card


def test_a_unet_learns_by_the_same_command_and_is_examined_beside_the_refiner(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(refiner_mixtures, "SHARD_SIZE", 2)
    monkeypatch.setattr(refiner_mixtures, "ROOM_COUNT", 1)
    monkeypatch.setattr(refiner, "BATCH_SIZE", 2)
    out, cache = tmp_path / "unet.safetensors", tmp_path / "cache"
    lessons = ["--lessons", "2", "--exam", "2", "--exam-kinds", "half-second", "--kind", "meeting"]
    learning = ["--network", "unet", "--steps", "3", "--minutes", "1", "--short", "1.0"]
    arguments = ["--data", str(data), "--cache", str(cache), "-o", str(out), *lessons, *learning]
    monkeypatch.setattr(sys, "argv", ["refiner", *arguments])
    refiner.main()
    assert out.with_suffix(".md").read_text("utf-8").startswith("# The U-Net")
    assert (cache / "lessons-meeting").is_dir()
    shipped = refiner_networks.load_network(mask_refiner_file(tmp_path))
    assert isinstance(shipped, mask_refiner.Refiner)
    capsys.readouterr()
    weights = [str(tmp_path / "refiner.safetensors"), str(out)]
    exam = ["--kinds", "half-second", "--mixtures", "2", "--rules", "--weights", *weights]
    refiner_exam.main(["--data", str(data), "--cache", str(cache), *exam])
    rows = capsys.readouterr().out.split("\n| half-second | ")[1:]
    assert [row.partition(" |")[0] for row in rows] == ["dictionary", *weights, *refiner_exam.RULES]


def mask_refiner_file(folder: Path) -> Path:
    """Weights of a small untrained refiner."""
    path = folder / "refiner.safetensors"
    mask_refiner.save(path, mask_refiner.Refiner(mask_refiner.Config(width=8, blocks=1)))
    return path


def test_an_untrained_unet_repeats_the_dictionaries_for_any_number_of_voices() -> None:
    torch.manual_seed(1)
    network = UNet(UNetConfig(widths=(4, 6, 8))).eval()
    magnitudes, estimates = torch.rand(1, 513, 21), torch.rand(1, 3, 513, 21)
    masks = network(magnitudes, estimates, torch.zeros(1, 3, 513))
    weights = (estimates + mask_refiner.PRIOR_OFFSET).pow(1.3)
    assert torch.allclose(masks, weights / weights.sum(dim=1, keepdim=True), atol=1e-5)


def test_a_unet_is_kept_in_a_file_and_does_not_mind_the_order_of_voices(tmp_path: Path) -> None:
    torch.manual_seed(2)
    network = UNet(UNetConfig(widths=(4, 6))).eval()
    torch.nn.init.normal_(network.leave.weight)
    unet.save(tmp_path / "unet.safetensors", network)
    assert unet.is_unet(tmp_path / "unet.safetensors")
    loaded = unet.load(tmp_path / "unet.safetensors")
    magnitudes, estimates, profiles = torch.rand(1, 513, 16), torch.rand(1, 2, 513, 16), torch.zeros(1, 2, 513)
    masks = network(magnitudes, estimates, profiles)
    assert torch.allclose(loaded(magnitudes, estimates, profiles), masks, atol=1e-2)
    assert torch.allclose(masks.sum(dim=1), torch.ones(1, 513, 16), atol=1e-5)
    assert torch.allclose(network(magnitudes, estimates.flip(1), profiles), masks.flip(1), atol=1e-5)
    assert not torch.allclose(masks[:, :, :512], network(magnitudes * 2, estimates, profiles)[:, :, :512], atol=1e-2)


def test_a_part_of_a_mixture_has_its_estimates_and_level() -> None:
    waveforms = torch.randn(2, 3, RATE)
    waveforms[:, :, : RATE // 2] *= 0.1
    frames = RATE // HOP + 1
    estimates = torch.rand(2, 2, 513, frames)
    part = MixtureBatch(waveforms.half(), estimates.half(), torch.zeros(2, 2, 513).half()).cut(5, 21)
    assert part.waveforms.shape == (2, 3, 20 * HOP)
    assert part.estimates.shape == (2, 2, 513, 21)
    assert torch.allclose(part.waveforms[:, 0].float().square().mean(dim=1), torch.ones(2), atol=0.01)
    louder = part.estimates[0, 0, :, 0].float() / estimates[0, 0, :, 5]
    assert torch.allclose(louder, louder.mean().expand_as(louder), rtol=0.01)
    assert float(louder.mean()) > 5.0


def test_a_mixture_shares_nothing_with_its_dictionaries() -> None:
    """Not even at another speed: the refiner would rely on it, and miss it in real meetings."""
    rng = np.random.default_rng(4)
    kind = LessonKind()
    clips = [
        np.full(round(seconds * RATE), index + 1, np.float32) for index, seconds in enumerate((2.0, 9.0, 8.0, 30.0))
    ]
    for _ in range(5):
        change = refiner_mixtures._random_change(kind, rng)
        first, *others = map(change, refiner_mixtures._pick_utterances(clips, 30 * RATE, rng))
        assert len(first) >= refiner_mixtures.SECONDS * RATE
        assert len({float(np.median(clip)) for clip in (first, *others)}) == 1 + len(others)
    ramp = np.linspace(0.0, 1.0, 10 * RATE, dtype=np.float32)
    voice = refiner_mixtures._split_excerpt([ramp, ramp + 2.0], kind, 60 * RATE, rng)
    assert len(voice.excerpt) == refiner_mixtures.SECONDS * RATE
    assert not np.intersect1d(voice.excerpt, np.concatenate(voice.enrollment)).size
    assert sum(map(len, voice.enrollment)) == 2 * len(ramp) - len(voice.excerpt)


def test_a_short_mixture_is_the_loudest_of_its_places_and_told_no_more_than_its_limit() -> None:
    rng = np.random.default_rng(5)
    kind = LessonKind(seconds=0.5, enrollment=(8.0, 20.0))
    ramp = np.linspace(0.0, 1.0, 10 * RATE, dtype=np.float32)
    voice = refiner_mixtures._split_excerpt([ramp, ramp + 2.0], kind, 8 * RATE, rng)
    assert len(voice.excerpt) == RATE // 2
    assert sum(map(len, voice.enrollment)) == 8 * RATE
    quiet = np.concatenate([np.full(RATE, 0.01), np.full(RATE, 0.5)]).astype(np.float32)
    loud = [float(refiner_mixtures._loudest_part(quiet, RATE // 2, rng).mean()) for _ in range(20)]
    assert np.mean(np.array(loud) > 0.2) > 0.8  # one place alone: half of them


def test_lessons_of_pairs_go_on_with_another_pair_and_are_kept_in_shards(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refiner_mixtures, "SHARD_SIZE", 3)
    monkeypatch.setattr(refiner_mixtures, "ROOM_COUNT", 1)
    kind = replace(LESSON_KINDS["pairs"], per_pair=2)
    paths = list(refiner_mixtures.make_shards(refiner_mixtures.read_speakers(data), tmp_path / "pairs", 3, 1, kind))
    lessons = refiner_mixtures.load(paths)
    assert len(paths) == 1
    assert lessons.waveforms.shape == (3, 3, round(kind.seconds * RATE))
    profiles = lessons.profiles
    assert (profiles[0] - profiles[1]).abs().mean() < (profiles[1] - profiles[2]).abs().mean()


def test_mixtures_of_one_pair_share_nothing_with_their_dictionaries_either(monkeypatch: pytest.MonkeyPatch) -> None:
    excluded: list[tuple[SpeakerSpeech, Excerpt]] = []
    original = SpeakerSpeech.dictionary_for

    def recording(speech: SpeakerSpeech, excerpt: Excerpt) -> torch.Tensor:
        excluded.append((speech, excerpt))
        return original(speech, excerpt)

    monkeypatch.setattr(SpeakerSpeech, "dictionary_for", recording)
    monkeypatch.setattr(refiner_mixtures, "PROBABILITIES", AugmentationProbabilities(noise=0.0))
    kind = LessonKind(seconds=0.5, per_pair=3)
    clips = [
        [hum(pitch, 3.0, index).samples, hum(pitch, 2.0, index + 5).samples] for index, pitch in ((0, 90), (1, 170))
    ]
    mixtures = list(refiner_mixtures._mixtures_of_pair(clips, kind, np.random.default_rng(6)))
    assert [mixture.waveforms.shape for mixture in mixtures] == [(1, 3, RATE // 2)] * 3
    assert len({excerpt.start for _, excerpt in excluded}) == len(excluded) == 6
    stems = [stem.double() for mixture in mixtures for stem in mixture.waveforms[0, 1:]]
    for stem, (speech, excerpt) in zip(stems, excluded, strict=True):
        said = torch.from_numpy(speech.samples[round(excerpt.start * RATE) : round(excerpt.end * RATE)]).double()
        assert torch.nn.functional.cosine_similarity(stem, said, dim=0) > 0.9999
    for mixture in mixtures:
        waveforms = mixture.waveforms[0].double()
        assert torch.allclose(waveforms[0], waveforms[1:].sum(dim=0), atol=0.01)


def test_people_get_another_vocal_tract_but_keep_their_pitch() -> None:
    voice = hum(120.0, 3.0, 1).samples

    def spectrum(samples: np.ndarray) -> np.ndarray:
        return np.abs(np.fft.rfft(samples[: 2 * RATE]))

    same = warp_formants(voice, RATE, 1.0)
    assert len(same) == len(voice)
    assert np.allclose(same, voice, atol=1e-6)
    higher, lower = (spectrum(warp_formants(voice, RATE, factor)) for factor in (1.2, 1.0 / 1.2))
    pitch = int(np.argmax(spectrum(voice)))
    assert abs(int(np.argmax(higher)) - pitch) < 2
    bins = np.arange(len(higher))
    centre_of_higher, centre_of_lower = (
        float((bins * power).sum() / power.sum()) for power in (np.square(higher), np.square(lower))
    )
    assert centre_of_higher > 1.05 * centre_of_lower
