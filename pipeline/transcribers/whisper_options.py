"""The arguments of `whisper.transcribe` that the settings choose."""

from __future__ import annotations

from typing import Any

from whisper.tokenizer import get_tokenizer

from meetsplit.pipeline.settings import Settings

_NUMERALS = frozenset("0123456789%$£€")
"""Characters of the tokens that are not written with ``--suppress-numerals``."""


def decoding_options(model: Any, settings: Settings) -> dict[str, Any]:
    """The arguments of `whisper.transcribe` that the settings choose; those without a value are Whisper's own.

    Hot words are a prompt for every window, since Whisper has no other place for them.
    """
    prompts = [text.strip() for text in (settings.hotwords, settings.initial_prompt) if text and text.strip()]
    options: dict[str, Any] = {
        "initial_prompt": settings.initial_prompt if settings.hotwords is None else ". ".join(prompts) or None,
        "temperature": temperatures(settings.temperature, settings.temperature_increment_on_fallback),
        "compression_ratio_threshold": settings.compression_ratio_threshold,
        "logprob_threshold": settings.logprob_threshold,
        "no_speech_threshold": settings.no_speech_threshold,
        "condition_on_previous_text": settings.condition_on_previous_text,
        "beam_size": settings.beam_size,
        "best_of": settings.best_of,
        "suppress_tokens": _suppressed_tokens(model, settings),
        "fp16": model.device.type == "cuda" and settings.compute_type != "float32",
    }
    if settings.carry_initial_prompt or settings.hotwords is not None:
        options["carry_initial_prompt"] = True
    optional = ("patience", "length_penalty", "hallucination_silence_threshold")
    return options | {name: getattr(settings, name) for name in optional if getattr(settings, name) is not None}


def temperatures(first: float, increment: float | None) -> tuple[float, ...]:
    """The temperature of each attempt: text that repeats itself or is improbable is sampled at the next one, up to 1.

    >>> temperatures(0.0, 0.2), temperatures(0.5, None)
    ((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), (0.5,))
    """
    if increment is None:
        return (first,)
    return tuple(round(first + number * increment, 6) for number in range(int((1.0 - first) / increment + 1e-6) + 1))


def _suppressed_tokens(model: Any, settings: Settings) -> str | tuple[()]:
    """Numbers of the tokens that are never written, with commas; Whisper cannot read an empty text as none."""
    if not settings.suppress_numerals:
        return settings.suppress_tokens or ()
    tokenizer = get_tokenizer(model.is_multilingual, num_languages=model.num_languages)
    numerals = [number for number in range(tokenizer.eot) if _NUMERALS & set(tokenizer.decode([number]))]
    return ",".join([settings.suppress_tokens, *map(str, numerals)]).strip(",")
