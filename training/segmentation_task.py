"""Segmentation training by pyannote.audio's own task, `SpeakerDiarization`, on recordings in memory-mapped files.

The task cuts windows, finds the order of the speakers and computes the powerset loss (Plaquet and Bredin, "Powerset
multi-class cross entropy loss for neural speaker diarization", 2023). It needs a protocol and a recording per file:
both are made here, without a configuration file of pyannote.database and without torchcodec.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from meetsplit.pipeline.diarizers.pyannet import load_segmentation, read_metadata
from meetsplit.pipeline.diarizers.pyannote_compat import no_telemetry, quiet_pyannote
from meetsplit.pipeline.errors import blame
from meetsplit.pipeline.files import write
from meetsplit.pipeline.interop import to_annotation
from meetsplit.training.segmentation_data import RATE, TrainingRecording

with quiet_pyannote():
    from pyannote.audio.models.segmentation import PyanNet
    from pyannote.audio.tasks import SpeakerDiarization
    from pyannote.audio.utils.powerset import Powerset
    from pyannote.core import Segment, Timeline
    from pyannote.database.protocol import SpeakerDiarizationProtocol

MAX_SIMULTANEOUS = 2
"""Simultaneous speakers in a powerset that is made of a multi-label segmentation."""


class TrainingProtocol(SpeakerDiarizationProtocol):  # type: ignore[misc]
    """Training recordings as a protocol of pyannote.database."""

    name = "Meetsplit.SpeakerDiarization.Collection"

    def __init__(self, recordings: Sequence[TrainingRecording]) -> None:
        super().__init__()
        self.recordings = recordings

    def train_iter(self) -> Iterator[dict[str, Any]]:
        """Each recording with its annotation; a speaker's name is valid within one recording."""
        for recording in self.recordings:
            yield {
                "uri": recording.name,
                "database": "Meetsplit",
                "scope": "file",
                "audio": str(recording.path),
                "annotation": to_annotation(recording.turns, recording.name),
                "annotated": Timeline([Segment(span.start, span.end) for span in recording.annotated]),
            }


class SegmentationTask(SpeakerDiarization):  # type: ignore[misc]
    """pyannote.audio's task, with recordings memory-mapped from their ``.npy`` files."""

    def get_file(self, file_id: int) -> dict[str, Any]:
        """A recording in pyannote.audio's form of audio in memory."""
        samples = np.load(self.prepared_data["audio-path"][file_id], mmap_mode="c")
        return {"waveform": torch.from_numpy(samples)[None], "sample_rate": RATE, "uri": str(file_id)}


def to_powerset(model: PyanNet, max_simultaneous: int = MAX_SIMULTANEOUS) -> None:
    """Turn a multi-label model into a powerset model of at most ``max_simultaneous`` speakers at once, in place.

    The score of a set is the sum of its speakers' scores. Its probability is then that of independent speakers, given
    that no more speak at once: before training, the model answers as it did.
    """
    if model.specifications.powerset:
        return
    old = model.classifier
    mapping = Powerset(len(model.specifications.classes), max_simultaneous).mapping
    new = nn.Linear(old.in_features, len(mapping))
    with torch.no_grad():
        new.weight.copy_(mapping @ old.weight)
        new.bias.copy_(mapping @ old.bias)
    model.classifier, model.activation = new, nn.LogSoftmax(dim=-1)


def prepare_task(
    checkpoint: Path, recordings: Sequence[TrainingRecording], cache: Path, batch_size: int
) -> tuple[PyanNet, SegmentationTask]:
    """The checkpoint's model as a powerset, and the task that trains it. Raises `StageError`."""
    no_telemetry()
    model = load_segmentation(checkpoint)
    model.lstm.dropout = read_metadata(checkpoint)["hyper_parameters"]["lstm"].get("dropout", 0.0)
    specifications = model.specifications
    cache.mkdir(parents=True, exist_ok=True)
    prepared = cache / "protocol.npz"
    prepared.unlink(missing_ok=True)
    with quiet_pyannote(), blame("diarize", "preparing pyannote.audio's task"):
        to_powerset(model)
        task = SegmentationTask(
            TrainingProtocol(recordings),
            cache=str(prepared),
            duration=specifications.duration,
            max_speakers_per_chunk=len(specifications.classes),
            max_speakers_per_frame=specifications.powerset_max_classes or MAX_SIMULTANEOUS,
            batch_size=batch_size,
            num_workers=0,
        )
        task.prepare_data()
        task.setup()
        model.task = task
        task.model = model
        task.setup_loss_func()
    return model.train(), task


def make_batch(task: SegmentationTask, seed: int, step: int) -> dict[str, Tensor]:
    """The windows ``X`` of one step and their speaker activity ``y``; windows with too many speakers are skipped."""
    chunks = task.train__iter__helper(random.Random(f"{seed} {step}"))
    usable = (chunk for chunk in chunks if len(chunk["y"].labels) <= task.max_speakers_per_chunk)
    chosen = list(itertools.islice(usable, task.batch_size))
    # Without the task's augmentation: it is none, but draws from torch's random numbers, here in another thread than
    # the training.
    return {"X": task.collate_X(chosen), "y": task.collate_y(chosen)}


def loss_function(
    task: SegmentationTask, device: str
) -> Callable[[Mapping[str, Tensor]], tuple[Tensor, Sequence[Tensor]]]:
    """The task's own loss. The task warns that it has no trainer to report to: call it within `quiet_pyannote`."""

    def loss_fn(batch: Mapping[str, Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        loss = task.training_step({name: tensor.to(device) for name, tensor in batch.items()}, 0)["loss"]
        return loss, (loss,)

    return loss_fn


def save(path: Path, weights: Mapping[str, Tensor], task: SegmentationTask, checkpoint: Path) -> None:
    """Write the file that ``--diarizer embedded --diarizer-model FILE`` reads: tensors with metadata in the header."""
    specifications = task.specifications
    pyannote = {
        "architecture": {"class": "PyanNet", "module": "pyannote.audio.models.segmentation.PyanNet"},
        "specifications": {
            "classes": list(specifications.classes),
            "duration": specifications.duration,
            "powerset_max_classes": int(specifications.powerset_max_classes),
            "warm_up": [0.0, 0.0],
        },
    }
    facts = {"hyper_parameters": read_metadata(checkpoint)["hyper_parameters"], "pyannote.audio": pyannote}
    header = {"source": f"fine-tuned from {checkpoint.name}", "facts": json.dumps(facts, sort_keys=True)}
    tensors = {name: tensor.detach().float().cpu().contiguous() for name, tensor in weights.items()}
    write(path, safetensors.torch.save(tensors, header))
