"""`--align-model`: words get the times at which a model of letters has them, inside their clip, whatever is written."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchaudio
from safetensors.torch import load_file, save_file
from torchaudio.models import wav2vec2_model
from voices import babble

from meetsplit.jobs.job import with_absolute_paths
from meetsplit.pipeline.data import Audio, ClipTranscript, Span, Transcript, Word
from meetsplit.pipeline.errors import MissingWeights, SettingsError, StageError
from meetsplit.pipeline.events import Notice
from meetsplit.pipeline.models import weights
from meetsplit.pipeline.models.selection import check_backends, preflight
from meetsplit.pipeline.models.sources import TORCHAUDIO_MODELS
from meetsplit.pipeline.models.weight_sources import weight_sources
from meetsplit.pipeline.settings import Settings
from meetsplit.pipeline.transcribers.ctc_alignment import UNALIGNED, CtcAligner, align_labels
from meetsplit.pipeline.transcribers.ctc_models import CtcModel, load_ctc_model

RATE = 16000
LABELS = ("-", "|", *"ETAOINSHRDLUCMWFGYPBVK'XJQZ")
VOCABULARY = {"<pad>": 0, "<s>": 30, "</s>": 31, "<unk>": 3, "|": 4}
SHAPES: dict[str, Any] = {
    "extractor_mode": "group_norm",
    "extractor_conv_layer_config": [(8, 10, 5), *[(8, 3, 2)] * 4, *[(8, 2, 2)] * 2],
    "extractor_conv_bias": False,
    "encoder_embed_dim": 16,
    "encoder_projection_dropout": 0.0,
    "encoder_pos_conv_kernel": 8,
    "encoder_pos_conv_groups": 4,
    "encoder_num_layers": 2,
    "encoder_num_heads": 2,
    "encoder_attention_dropout": 0.0,
    "encoder_ff_interm_features": 16,
    "encoder_ff_interm_dropout": 0.0,
    "encoder_dropout": 0.0,
    "encoder_layer_norm_first": False,
    "encoder_layer_drop": 0.0,
}

HUGGING_FACE = (
    ("encoder.transformer.", "wav2vec2.encoder."),
    ("encoder.feature_projection.", "wav2vec2.feature_projection."),
    ("feature_extractor.", "wav2vec2.feature_extractor."),
    ("aux.", "lm_head."),
    ("parametrizations.weight.original0", "weight_g"),
    ("parametrizations.weight.original1", "weight_v"),
)
"""Names of tensors in torchaudio and in Hugging Face's format; the last two as older versions of torch have them."""


def network(outputs: int) -> Any:
    """A wav2vec2 of the usual layers, few channels and random weights, and other letters than the blank likely."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = wav2vec2_model(**SHAPES, aux_num_out=outputs).eval()
        with torch.no_grad():
            made.aux.weight.mul_(20.0)
    return made


def write_folder(folder: Path, *, pickled: bool = False, **changes: Any) -> Path:
    """The network in Hugging Face's format."""
    folder.mkdir(exist_ok=True)
    renamed = {}
    for name, tensor in network(32).state_dict().items():
        for ours, theirs in HUGGING_FACE[: None if pickled else 4]:
            name = name.replace(ours, theirs)  # noqa: PLW2901
        renamed[name] = tensor.clone()
    renamed["wav2vec2.masked_spec_embed"] = torch.zeros(16)
    if pickled:
        torch.save(renamed, folder / "pytorch_model.bin")
    else:
        save_file(renamed, folder / "model.safetensors")
    letters = {letter.lower(): 5 + number for number, letter in enumerate(LABELS[2:27])}
    (folder / "vocab.json").write_text(json.dumps(VOCABULARY | letters), "utf-8")
    dims, kernels, strides = (list(own) for own in zip(*SHAPES["extractor_conv_layer_config"], strict=True))
    config = {
        "model_type": "wav2vec2", "vocab_size": 32, "pad_token_id": 0, "hidden_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 16, "conv_dim": dims, "conv_kernel": kernels,
        "conv_stride": strides, "conv_bias": False, "feat_extract_norm": "group", "do_stable_layer_norm": False,
        "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 4, "add_adapter": False,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config | changes), "utf-8")
    (folder / "preprocessor_config.json").write_text('{"do_normalize": true}', "utf-8")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("aligner") / "wav2vec2-tiny")


class Written(torch.nn.Module):
    """A network whose output is a text with a label for each frame of 20 ms: ``.`` is the blank."""

    def __init__(self, frames: str) -> None:
        super().__init__()
        self.frames = frames
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def forward(self, sound: torch.Tensor) -> tuple[torch.Tensor, None]:
        numbers = [0 if frame == "." else LABELS.index(frame) for frame in self.frames]
        return 9.0 * torch.nn.functional.one_hot(torch.tensor([numbers]), len(LABELS)).float(), None


def aligner(frames: str, language: str | None = None) -> CtcAligner:
    labels = {label: number for number, label in enumerate(LABELS) if number}
    return CtcAligner(CtcModel(Written(frames), labels, blank=0, language=language))


def transcript(words: Sequence[tuple[str, float, float]], language: str | None = "en") -> ClipTranscript:
    return ClipTranscript(tuple(Word(Span(start, end), text, 0.5) for text, start, end in words), language)


def clip(seconds: float, start: float = 0.0) -> Audio:
    return Audio(babble(seconds), RATE, start)


#            0         1         2         3         4         5         6         7         8         9
FRAMES = "....II.V.EE..........|.....................|BB.O.X.E.S...........||TT..O..O......................."


def test_words_lie_where_the_model_has_their_letters() -> None:
    words = transcript([("I've", 10.0, 10.5), ("12", 10.5, 10.9), ("boxes,", 10.9, 11.3), ("–", 11.3, 11.4),
                        ("Too!", 11.4, 12.0)])  # fmt: skip
    aligned = aligner(FRAMES).align(clip(2.0, start=10.0), words)
    times = [(round(word.start - 10, 3), round(word.end - 10, 3)) for word in aligned.words]
    assert times[0] == (0.08, 0.22), "as its first and last letter"
    assert times[1] == (0.5, 0.87), "a numeral has no letters: between its neighbours, its own time holds"
    assert times[2] == (0.87, 1.08)
    assert times[3] == (1.3, 1.34), "a dash is not said"
    assert times[4] == (1.34, 1.5)
    assert [(word.text, word.confidence) for word in aligned.words] == [(w.text, 0.5) for w in words.words]
    assert (aligned.language, aligned.review) == ("en", ())


def test_short_pauses_are_split_evenly_and_long_ones_are_nobodys() -> None:
    words = transcript([("is", 0.0, 0.1), ("it", 0.1, 0.2), ("so", 0.2, 0.3)])
    aligned = aligner("..I.S.|....IT..........|..S.O....").align(clip(0.7), words)
    assert [(round(w.start, 3), round(w.end, 3)) for w in aligned.words] == [(0.04, 0.16), (0.16, 0.26), (0.52, 0.58)]


def test_repeated_letters_need_a_frame_between_them() -> None:
    emissions = Written(".T.O.O.T").forward(torch.zeros(1))[0][0].log_softmax(-1)
    numbers = [LABELS.index(letter) for letter in "TOOT"]
    assert align_labels(emissions, numbers, 0) == [(1, 2), (3, 4), (5, 6), (7, 8)]
    assert align_labels(emissions[:4], numbers, 0) is None
    assert align_labels(emissions * torch.nan, numbers, 0) is None


@pytest.mark.parametrize(
    ("frames", "texts"),
    [
        ("..A", ("abracadabra",)),  # more letters than frames
        ("." * 40, ("12", "34 %", "–")),  # nothing that the model knows
        ("." * 40, ("доброе", "утро")),
    ],
)
def test_what_cannot_be_aligned_keeps_its_times_and_says_so(frames: str, texts: Sequence[str]) -> None:
    words = transcript([(text, 0.1 + n / 10, 0.2 + n / 10) for n, text in enumerate(texts)])
    assert aligner(frames).align(clip(1.0), words) == dataclasses.replace(words, review=(UNALIGNED,))


def test_another_language_keeps_its_times() -> None:
    words = transcript([("Tat", 0.1, 0.9)], "de")
    assert aligner("....TAT...", "en").align(clip(1.0), words) == words
    assert aligner("....TAT...", "de").align(clip(1.0), words).words[0].start == pytest.approx(0.08)
    unknown = transcript([("Tat", 0.1, 0.9)], None)
    assert aligner("....TAT...", "en").align(clip(1.0), unknown).words[0].start == pytest.approx(0.08)
    assert aligner("....").align(clip(1.0), ClipTranscript((), "en")) == ClipTranscript((), "en")


def test_any_words_are_in_order_and_inside_their_clip(folder: Path) -> None:
    loaded = CtcAligner.load(Settings(align_model=str(folder)), {"model": folder}, "cpu")
    pool = ["Well,", "naïve", "COVID-19", "12", "300 %", "€", "–", "…", "Ελλάδα", "I’ve", "zz", "今日", "a|b", "Ærø's"]
    rng = np.random.default_rng(0)
    aligned_clips = 0
    for seconds in (0.02, 0.3, 1.0, 2.5):
        for count in (1, 2, 4, 8, 12):
            texts = [pool[number] for number in rng.integers(len(pool), size=count)]
            edges = np.sort(rng.uniform(7.0, 7.0 + seconds, count + 1))
            words = transcript([(t, a, b) for t, a, b in zip(texts, edges[:-1], edges[1:], strict=True)])
            answer = loaded.align(clip(seconds, start=7.0), words)
            assert [word.text for word in answer.words] == texts
            starts = [word.start for word in answer.words]
            assert starts == sorted(starts)
            assert all(7.0 <= word.start <= word.end <= 7.0 + seconds + 1e-9 for word in answer.words)
            if not answer.review:
                aligned_clips += 1
                assert all(a.end <= b.start + 1e-9 for a, b in zip(answer.words, answer.words[1:], strict=False))
    assert aligned_clips >= 8


@pytest.mark.parametrize("pickled", [False, True])
def test_a_folder_computes_what_torchaudio_computes(tmp_path: Path, pickled: bool) -> None:
    loaded = load_ctc_model("tiny", write_folder(tmp_path / "tiny", pickled=pickled), "cpu")
    sound = babble(1.0)
    with torch.inference_mode():
        normal = torch.nn.functional.layer_norm(torch.tensor(sound)[None], (1, len(sound)))
        expected = network(32)(normal)[0][0].log_softmax(-1)
    assert torch.allclose(loaded.emissions(sound), expected, atol=1e-5)
    assert (loaded.blank, loaded.stride, loaded.labels["e"], loaded.label_of("É")) == (0, 320, 5, 5)
    assert not {"<pad>", "<s>", "<unk>"} & set(loaded.labels)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"model_type": "wav2vec2-bert"}, "only plain wav2vec2 is known"),
        ({"adapter_attn_dim": 16}, "only plain wav2vec2 is known"),
        ({"num_hidden_layers": 40000}, "config.json says 40000 layers, its tensors have 2"),
        ({"hidden_size": 65536, "intermediate_size": 65536}, "size mismatch"),
        ({"vocab_size": "32"}, "vocab_size '32'"),
        ({"conv_dim": []}, r"conv_dim \[\]"),
        ({"pad_token_id": None}, "pad_token_id None"),
    ],
)
def test_other_folders_are_refused_in_a_sentence(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    made = write_folder(tmp_path / "other", **changes)
    with pytest.raises(StageError, match=complaint) as refused:
        load_ctc_model("other", made, "cpu")
    assert "\n" not in str(refused.value)


def test_a_folder_without_weights_or_vocabulary_is_refused(tmp_path: Path) -> None:
    made = write_folder(tmp_path / "other")
    (made / "model.safetensors").unlink()
    with pytest.raises(StageError, match=r"has no model\.safetensors"):
        load_ctc_model("other", made, "cpu")
    (made / "vocab.json").write_text('{"deu": {"a": 1}}', "utf-8")
    with pytest.raises(StageError, match="a vocabulary per language"):
        load_ctc_model("other", made, "cpu")
    (made / "vocab.json").unlink()
    with pytest.raises(StageError, match=r"no vocab\.json"):
        load_ctc_model("other", made, "cpu")


@pytest.fixture
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch.hub, in which torchaudio's models are tiny."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("WAV2VEC2_ASR_BASE_960H", "MMS_FA"):
        bundle: Any = getattr(torchaudio.pipelines, name)
        outputs = bundle._params["aux_num_out"]
        tiny = dataclasses.replace(bundle, _params={**SHAPES, "aux_num_out": outputs})
        monkeypatch.setattr(torchaudio.pipelines, name, tiny)
    (tmp_path / "torch" / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.mark.parametrize(
    ("name", "file", "outputs", "language"),
    [
        ("WAV2VEC2_ASR_BASE_960H", "wav2vec2_fairseq_base_ls960_asr_ls960.pth", 32, "en"),
        ("MMS_FA", "model.pt", 31, None),
    ],
)
def test_torchaudios_models_come_from_its_own_cache(
    torch_home: Path, name: str, file: str, outputs: int, language: str | None
) -> None:
    (source,) = weight_sources("aligner", "ctc", Settings(align_model=name)).values()
    assert weights.locate(source, cache=torch_home) is None
    torch.save(network(outputs).state_dict(), torch_home / file)  # with the rows of fairseq that torchaudio removes
    path = weights.locate(source, cache=torch_home)
    assert path == torch_home / file
    loaded = load_ctc_model(name, path, "cpu")
    assert loaded.language == language
    assert loaded.emissions(babble(1.0)).shape == (49, outputs - 3)
    assert {loaded.label_of("e"), loaded.label_of("E")} == {loaded.label_of("é")} != {None}
    assert loaded.label_of("-") is None
    path.write_bytes(path.read_bytes()[:-100])
    assert weights.locate(source, cache=torch_home) is None
    assert "is not whole" in str(weights.find_damage(source, cache=torch_home))
    path.write_bytes(b"")
    with pytest.raises(StageError, match="no whole wav2vec2"):
        load_ctc_model(name, path, "cpu")


def test_the_names_are_torchaudios_own() -> None:
    pipelines: Any = torchaudio.pipelines
    names = {name for name in dir(pipelines) if "_ASR_" in name or name == "MMS_FA"}
    assert set(TORCHAUDIO_MODELS) == names
    assert all(TORCHAUDIO_MODELS[name].address.endswith(getattr(pipelines, name)._path) for name in names)


def settings(call: Any, **options: Any) -> Settings:
    return dataclasses.replace(call.settings, **options)


def test_a_model_that_is_not_here_is_a_sentence_before_any_work(call: Any, torch_home: Path) -> None:
    with pytest.raises(MissingWeights, match="torchaudio MMS_FA is not on this machine and --offline forbids") as error:
        preflight(settings(call, align_model="MMS_FA", offline=True))
    assert "meetsplit models fetch MMS_FA" in str(error.value)
    with pytest.raises(SettingsError, match=r"--align-model MMS: .*MMS_FA"):
        preflight(settings(call, align_model="MMS"))
    rows = check_backends(settings(call, align_model="MMS_FA", offline=True))
    assert (rows[-1].stage, rows[-1].backend, hasattr(rows[-1], "error")) == ("aligner", "ctc", True)


def test_a_job_takes_its_folder_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ours").mkdir()
    made = [with_absolute_paths(Settings(align_model=name)).align_model for name in ("ours", "MMS_FA", "a/b")]
    assert made == [str(tmp_path / "ours"), "MMS_FA", "a/b"], "a worker runs in another folder"


def test_a_translation_is_not_aligned(call: Any, folder: Path) -> None:
    events: list[Any] = []
    selection = preflight(settings(call, align_model=str(folder), task="translate"), events.append)
    assert selection.of("aligner") is None
    assert any("a translation are not spoken" in event.text for event in events if isinstance(event, Notice))


def test_a_run_aligns_each_clip_and_keeps_it(call: Any, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "wav2vec2-tiny")
    assert call.run()[0] == ["decode", "diarize", "separate", "transcribe", "write"]
    plain = Transcript.read(call.out / "call.json")
    call.script.write_text("x 1 1.0 0.5 good\nx 1 3.0 0.5 34\n")
    call.options["align_model"] = str(folder)
    assert call.run()[0] == ["transcribe", "write"], "turns and voices stay"
    aligned = Transcript.read(call.out / "call.json")
    assert [word.text for segment in aligned.segments for word in segment.words] == ["good", "34"]
    assert aligned.segments[0].words[0].span != plain.segments[0].words[0].span
    assert aligned.segments[1].words[0].span == plain.segments[1].words[0].span
    assert [UNALIGNED in segment.review for segment in aligned.segments] == [False, True], "34 has no letters"
    assert aligned.made_by.stages[-1].backend == "ctc"
    assert dict(aligned.made_by.settings)["align_model"] == str(folder)
    assert call.run()[0] == ["write"]
    tensors = load_file(folder / "model.safetensors")
    save_file({name: tensor + 0.01 for name, tensor in tensors.items()}, folder / "model.safetensors")
    assert call.run()[0] == ["transcribe", "write"], "another model has other times"
