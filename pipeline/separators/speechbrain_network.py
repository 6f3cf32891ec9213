"""SpeechBrain's separation folders (encoder, mask network, decoder) as blind networks: SepFormer and its relatives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from speechbrain.inference.separation import SepformerSeparation

from meetsplit.pipeline.data import Samples
from meetsplit.pipeline.errors import StageError, blame
from meetsplit.pipeline.models.speechbrain_folder import open_as_code, open_folder, speechbrain_device
from meetsplit.pipeline.separators.blind import BlindNetwork
from meetsplit.pipeline.settings import Settings


def load_network(name: str, folder: Path, settings: Settings, device: str, *, window: float) -> BlindNetwork:
    """The network in a folder as the hub has it: ``hyperparams.yaml`` and the ``.ckpt`` files it names.

    Nothing is linked, copied or fetched, and nothing that the file names is run unless ``settings.trust_model_code``.
    ``name`` is what sentences call it. Raises `MissingWeights` for an incomplete folder, `StageError` for one that
    holds something else or does not say its numbers.
    """
    required = ("num_spks", "sample_rate")
    with blame("separate", f"loading the {name} in {folder}"):
        if settings.trust_model_code:
            model: Any = open_as_code(SepformerSeparation, "separate", folder, device)
        else:
            content = open_folder("separate", folder, SepformerSeparation.MODULES_NEEDED, required)
            model = SepformerSeparation(
                content.modules, dict(content.numbers), run_opts={"device": speechbrain_device(device)}
            )
    missing = [number for number in required if not hasattr(model.hparams, number)]
    if missing:
        raise StageError("separate", f"{folder / 'hyperparams.yaml'} does not say {' and '.join(missing)}")

    def separate(mixture: Samples) -> Samples:
        with torch.inference_mode():
            voices: Samples = model.separate_batch(torch.tensor(mixture)[None])[0].T.float().cpu().numpy()
        return voices

    return BlindNetwork(name, folder, int(model.hparams.num_spks), int(model.hparams.sample_rate), window, separate)
