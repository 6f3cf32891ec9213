"""Is this folder a SpeechBrain model that may be opened? Read as text, before SpeechBrain reads it as code.

HyperPyYAML builds whatever Python object a file names: opening a ``hyperparams.yaml`` means running it.
"""

from __future__ import annotations

import re
from pathlib import Path

from meetsplit.pipeline.errors import MissingWeights, StageError

_TAG = re.compile(r"!(new|name|module|apply|include|tuple|ref|copy|applyref):?([\w.]*)")
_PARTS = r"(speechbrain|torch\.nn|torch\.optim)(\.\w+)+$"
_SEEDS = r"(torch\.manual_seed|torch\.cuda\.manual_seed_all|numpy\.random\.seed|random\.seed)$"
_TRUSTED = re.compile(f"{_PARTS}|{_SEEDS}")


def checked(stage: str, folder: Path) -> dict[str, str]:
    """The overrides that keep loading inside ``folder``, after a look at its ``hyperparams.yaml``.

    Some hub files say ``pretrained_path: speechbrain/…`` and would fetch their weights anew; that is pointed at the folder.
    Raises `MissingWeights` where the file is not there, `StageError` where it asks for Python objects other than SpeechBrain's
    and torch's own, or for other files.
    """
    file = folder / "hyperparams.yaml"
    if not file.is_file():
        raise MissingWeights(stage, f"{folder} is no SpeechBrain model: it has no hyperparams.yaml; fetch the whole hub folder")
    text = "\n".join(line.split(" #")[0] for line in file.read_text("utf-8").splitlines() if not line.lstrip().startswith("#"))
    for kind, target in _TAG.findall(text):
        if kind in ("new", "name", "module", "apply", "applyref", "include") and not _TRUSTED.match(target):
            raise StageError(stage, f"{file} asks for {kind}:{target}, which is neither SpeechBrain's nor torch's: not opened")
    return {"pretrained_path": str(folder)} if re.search(r"^pretrained_path:", text, re.MULTILINE) else {}
