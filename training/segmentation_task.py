"""pyannote.audio's own task, `SpeakerDiarization`, over recordings that are at hand; and the network that it teaches.

The task cuts windows, finds the order of the speakers and computes the powerset loss (Plaquet and Bredin, "Powerset
multi-class cross entropy loss for neural speaker diarization", 2023). It needs a protocol and a recording per file: both are
made here, without a configuration file of pyannote.database and without torchcodec.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from meetsplit.pipeline.diarizers.pyannet import load_segmentation, read_metadata
from meetsplit.pipeline.diarizers.pyannote_compat import no_telemetry, quiet_pyannote
from meetsplit.pipeline.errors import blame
from meetsplit.pipeline.files import write
from meetsplit.pipeline.interop import to_annotation
from meetsplit.training.segmentation_data import RATE, Filed

with quiet_pyannote():
    from pyannote.audio.models.segmentation import PyanNet
    from pyannote.audio.tasks import SpeakerDiarization
    from pyannote.audio.utils.powerset import Powerset
    from pyannote.core import Segment, Timeline
    from pyannote.database.protocol import SpeakerDiarizationProtocol

AT_ONCE = 2
"""Speakers that a powerset made of a multi-label segmentation lets speak at once."""


class Collection(SpeakerDiarizationProtocol):  # type: ignore[misc]
    """Recordings as pyannote.database wants them; all of them are trained on."""

    name = "Meetsplit.SpeakerDiarization.Collection"

    def __init__(self, recordings: Sequence[Filed]) -> None:
        super().__init__()
        self.recordings = recordings

    def train_iter(self) -> Iterator[dict[str, Any]]:
        """Each recording with its annotation; names of speakers hold within it."""
        for one in self.recordings:
            yield {
                "uri": one.name,
                "database": "Meetsplit",
                "scope": "file",
                "audio": str(one.path),
                "annotation": to_annotation(one.turns, one.name),
                "annotated": Timeline([Segment(span.start, span.end) for span in one.annotated]),
            }


class Windows(SpeakerDiarization):  # type: ignore[misc]
    """pyannote.audio's task; only how a recording is opened is ours: mapped from its ``.npy`` file."""

    def get_file(self, file_id: int) -> dict[str, Any]:
        """A recording in the form of sound that is in memory already."""
        samples = np.load(self.prepared_data["audio-path"][file_id], mmap_mode="c")
        return {"waveform": torch.from_numpy(samples)[None], "sample_rate": RATE, "uri": str(file_id)}


def as_powerset(network: PyanNet, most: int = AT_ONCE) -> None:
    """Lets a network that judges each speaker alone judge every set of at most ``most`` of them.

    A set's score is the sum of its speakers' scores. Its probability is then that of independent speakers, given that no
    more speak at once: the network answers as before, and only then begins to learn.
    """
    if network.specifications.powerset:
        return
    old = network.classifier
    mapping = Powerset(len(network.specifications.classes), most).mapping
    new = nn.Linear(old.in_features, len(mapping))
    with torch.no_grad():
        new.weight.copy_(mapping @ old.weight)
        new.bias.copy_(mapping @ old.bias)
    network.classifier, network.activation = new, nn.LogSoftmax(dim=-1)


def begun(checkpoint: Path, recordings: Sequence[Filed], cache: Path, batch: int) -> tuple[PyanNet, Windows]:
    """The network of the checkpoint as a powerset, and the task that teaches it. Raises `StageError`."""
    no_telemetry()
    network = load_segmentation(checkpoint)
    network.lstm.dropout = read_metadata(checkpoint)["hyper_parameters"]["lstm"].get("dropout", 0.0)
    before = network.specifications
    cache.mkdir(parents=True, exist_ok=True)
    prepared = cache / "protocol.npz"
    prepared.unlink(missing_ok=True)
    with quiet_pyannote(), blame("diarize", "preparing pyannote.audio's task"):
        as_powerset(network)
        task = Windows(
            Collection(recordings),
            cache=str(prepared),
            duration=before.duration,
            max_speakers_per_chunk=len(before.classes),
            max_speakers_per_frame=before.powerset_max_classes or AT_ONCE,
            batch_size=batch,
            num_workers=0,
        )
        task.prepare_data()
        task.setup()
        network.task = task
        task.model = network
        task.setup_loss_func()
    return network.train(), task


def lesson(task: Windows, seed: int, step: int) -> dict[str, Tensor]:
    """The windows ``X`` of one step and who speaks in them, ``y``; windows with too many speakers are passed over."""
    chunks = task.train__iter__helper(random.Random(f"{seed} {step}"))
    fitting = (chunk for chunk in chunks if len(chunk["y"].labels) <= task.max_speakers_per_chunk)
    batch = list(itertools.islice(fitting, task.batch_size))
    # Without the task's augmentation: it is none, but draws from torch's random numbers, here in another thread than the training.
    return {"X": task.collate_X(batch), "y": task.collate_y(batch)}


def mistakes(task: Windows, on: str) -> Callable[[Mapping[str, Tensor]], tuple[Tensor, Sequence[Tensor]]]:
    """The task's own loss. It would report to a trainer, and warns that there is none: call it `quiet_pyannote`."""

    def wrong(given: Mapping[str, Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        loss = task.training_step({name: part.to(on) for name, part in given.items()}, 0)["loss"]
        return loss, (loss,)

    return wrong


def kept(path: Path, tensors: Mapping[str, Tensor], task: Windows, checkpoint: Path) -> None:
    """Writes a file that ``--diarizer embedded --diarizer-model FILE`` reads: tensors, and what they are in the header."""
    said = task.specifications
    about = {
        "architecture": {"class": "PyanNet", "module": "pyannote.audio.models.segmentation.PyanNet"},
        "specifications": {
            "classes": list(said.classes),
            "duration": said.duration,
            "powerset_max_classes": int(said.powerset_max_classes),
            "warm_up": [0.0, 0.0],
        },
    }
    facts = {"hyper_parameters": read_metadata(checkpoint)["hyper_parameters"], "pyannote.audio": about}
    header = {"source": f"fine-tuned from {checkpoint.name}", "facts": json.dumps(facts, sort_keys=True)}
    write(path, save({name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()}, header))
