"""Command lines of the whisper family: arguments as whisper and WhisperX spell them become those of meetsplit.

``--max_line_width`` is ``--max-line-width``; ``--fp16 False`` and ``--device_index 1`` are other options here; what
needs no option, or has no counterpart, is left out with one note.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from meetsplit.pipeline.errors import SettingsError

COMMANDS = frozenset({"run", "batch", "watch", "rediarize", "schedule", "doctor", "models", "export"})
"""Commands that take options of the whisper family; of the others, only ``_`` in names is understood."""

LEFT_OUT = frozenset(
    {
        "--diarize",
        "--no-align",
        "--timestamp-sanitize",
        "--return-char-alignments",
        "--speaker-embeddings",
        "--print-progress",
        "--verbose",
        "--log-level",
        "--interpolate-method",
        "--vad-method",
        "--vad-onset",
        "--vad-offset",
        "--chunk-size",
        "--segment-resolution",
        "--word-timestamps",
        "--prepend-punctuations",
        "--append-punctuations",
    }
)
"""Options of whisper and WhisperX that are left out, with a note."""

_WITHOUT_VALUE = frozenset(
    {"--diarize", "--no-align", "--timestamp-sanitize", "--return-char-alignments", "--speaker-embeddings"}
)
"""Those that take no value."""

_TRUTHS = frozenset(
    {"--carry-initial-prompt", "--condition-on-previous-text", "--highlight-words", "--suppress-numerals", "--offline"}
)
"""Our flags that whisper gives a value, True or False."""

_NONE_IS_DEFAULT = frozenset(
    {
        "--align-model",
        "--batch-size",
        "--hf-token",
        "--hotwords",
        "--initial-prompt",
        "--language",
        "--length-penalty",
        "--max-line-count",
        "--max-line-width",
        "--max-speakers",
        "--max-words-per-line",
        "--min-speakers",
        "--model-dir",
        "--patience",
        "--hallucination-silence-threshold",
        "--threads",
    }
)
"""Options whose value None means the same as leaving them out."""

_RENAMED = {"--diarize-model": "--diarizer-model", "--model-cache-only": "--offline"}
_ELSEWHERE = frozenset({"--fp16", "--compute-type", "--device-index", "--clip-timestamps"})
"""Options that are said with other options here."""

_OUR_COMPUTE_TYPES = {name: name for name in ("int8", "int8_float16", "float16", "float32", "default")}
_OUR_COMPUTE_TYPES |= {"auto": "default", "int8_float32": "int8"}


@dataclass(slots=True)
class Translation:
    """A command line as meetsplit writes it, and the options that were ``left_out``."""

    arguments: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    device_index: str = ""

    @property
    def note(self) -> str | None:
        """What was left out, in a sentence; None where nothing was."""
        if not self.left_out:
            return None
        options = ", ".join(dict.fromkeys(self.left_out))
        return f"done without an option here, or without a counterpart, and left out: {options} (docs/from-whisperx.md)"


def translated(arguments: Sequence[str]) -> Translation:
    """The arguments in meetsplit's words. Raises `SettingsError` for what it cannot do."""
    dashed = with_hyphens(arguments)
    command = next((argument for argument in dashed if not argument.startswith("-")), "")
    if command not in COMMANDS:
        return Translation(dashed)
    translation = Translation()
    left = iter(enumerate(dashed))
    for at, argument in left:
        if argument == "--":
            translation.arguments += dashed[at:]
            break
        option, equals, value = argument.partition("=")
        option = _RENAMED.get(option, option)
        has_value = bool(equals) or (at + 1 < len(dashed) and not _is_option(dashed[at + 1]))
        if not equals and has_value:
            value = dashed[at + 1]
        took_value = _translate(option, value if has_value else None, argument, translation)
        if took_value and not equals and has_value:
            next(left)
    _place_device_index(translation)
    if "--no-align" in translation.left_out:
        _drop_align_model(translation)
    return translation


def with_hyphens(arguments: Sequence[str]) -> list[str]:
    """The arguments with hyphens in the names of options, up to ``--``.

    >>> with_hyphens(["a_b.wav", "--max_line_width=3_0", "--", "--x_y"])
    ['a_b.wav', '--max-line-width=3_0', '--', '--x_y']
    """
    spelt: list[str] = []
    for at, argument in enumerate(arguments):
        if argument == "--":
            return spelt + list(arguments[at:])
        option, equals, value = argument.partition("=")
        spelt.append(option.replace("_", "-") + equals + value if option.startswith("--") else argument)
    return spelt


def _is_option(argument: str) -> bool:
    """Whether an argument is an option, and not a value such as -1."""
    return argument.startswith("-") and not argument[1:2].isdigit() and argument != "-"


def _translate(option: str, value: str | None, argument: str, translation: Translation) -> bool:
    """Add one option to the translation; whether the ``value`` that may follow it belongs to it."""
    truth = {"true": True, "false": False}.get((value or "").lower())
    if option in LEFT_OUT:
        translation.left_out.append(option)
        return option not in _WITHOUT_VALUE
    if option in _TRUTHS and truth is not None:
        if truth or option != "--offline":  # False is whisper's default, and HF_HUB_OFFLINE may say otherwise
            translation.arguments.append(option if truth else f"--no{option[1:]}")
        return True
    if option in _NONE_IS_DEFAULT and (value or "").lower() == "none":
        return True
    if option in _ELSEWHERE and value is not None:
        _translate_elsewhere(option, value, translation)
        return True
    _, equals, _ = argument.partition("=")
    translation.arguments.append(option + (f"={value}" if equals else ""))
    return False


def _translate_elsewhere(option: str, value: str, translation: Translation) -> None:
    """Say an option with a value of the whisper family with ours."""
    match option:
        case "--fp16" if value.lower() == "false":
            translation.arguments += ["--compute-type", "float32"]
        case "--compute-type" if value in _OUR_COMPUTE_TYPES:
            translation.arguments += ["--compute-type", _OUR_COMPUTE_TYPES[value]]
        case "--compute-type":
            translation.left_out.append(f"{option} {value}")
        case "--device-index":
            translation.device_index = value
        case "--clip-timestamps":
            times = [time for time in value.split(",") if time]
            if len(times) > 2:
                raise SettingsError(
                    f"--clip-timestamps {value}: one stretch is processed: give its --start and --end, or cut the file"
                )
            for name, time in zip(("--start", "--end"), times, strict=False):
                translation.arguments += [name, time] if (name, time) != ("--start", "0") else []


def _drop_align_model(translation: Translation) -> None:
    """Leave ``--align-model`` out beside ``--no-align``, as WhisperX does."""
    arguments = translation.arguments
    for at, argument in enumerate(arguments):
        if argument.partition("=")[0] == "--align-model":
            del arguments[at : at + (1 if "=" in argument else 2)]
            translation.left_out.append("--align-model")
            return


def _place_device_index(translation: Translation) -> None:
    """Put ``--device-index 1`` into ``--device cuda:1``; 0 is what every device has."""
    index = translation.device_index
    if not index or index == "0":
        return
    if not index.isdigit():
        raise SettingsError(f"--device-index {index}: the number of a GPU, 0 for the first")
    arguments = translation.arguments
    for at, argument in enumerate(arguments):
        if argument == "--device" and arguments[at + 1 : at + 2] == ["cuda"]:
            arguments[at + 1] = f"cuda:{index}"
            return
        if argument == "--device=cuda":
            arguments[at] = f"--device=cuda:{index}"
            return
    if not any(argument.partition("=")[0] == "--device" for argument in arguments):
        end = arguments.index("--") if "--" in arguments else len(arguments)
        arguments[end:end] = ["--device", f"cuda:{index}"]
