"""Music taken out by what speech cannot explain: semi-supervised non-negative matrix factorisation.

Magnitudes of a window are explained as sums over spectra of speech, drawn from many people and fixed, and over spectra
of the music, which are learned from the window itself: first they are frames that speech explains worst, those between
words. Music lasts longer than speech sounds, so its activations are smoothed over time. The shares make a mask.
Smaragdis, Raj, Shashanka, "Supervised and semi-supervised separation of sounds from single-channel mixtures", 2007;
updates of Lee and Seung, 2001, for the Kullback–Leibler divergence.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

FRAME = 1024
"""Samples in a short-time spectrum (64 ms at 16 kHz): harmonics of a voice and tones of music stay apart."""

HOP = 256
"""Samples between spectra (16 ms)."""

_SPECTRA = "speech"
"""Name of the tensor in a file of speech spectra."""

_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class MusicOptions:
    """How music is told from speech.

    ``components`` spectra of music are learned in ``updates``, of which ``speech_updates`` explain the window by speech
    alone first; they begin as frames out of the share ``candidates`` that speech explains worst. Their activations are
    half their own mean over ``smoothing`` frames after each update. Masks are of amplitudes to the power of
    ``mask_power``, at least ``least_gain``: silence would be heard as holes, by people and by transcribers.
    """

    components: int = 24
    updates: int = 40
    speech_updates: int = 8
    candidates: float = 0.2
    smoothing: int = 15
    mask_power: float = 1.5
    least_gain: float = 0.1


def music_gains(magnitudes: Tensor, speech: Tensor, seed: int = 0, options: MusicOptions = MusicOptions()) -> Tensor:
    """Gains on magnitudes ``(bins, frames)`` that take the music out; ``speech`` are spectra ``(bins, spectra)`` whose
    columns sum to one.
    """
    mixture = magnitudes / magnitudes.mean().clamp_min(_TINY)
    totals = mixture.sum(dim=0, keepdim=True)
    voices = (totals / speech.shape[1]).expand(speech.shape[1], -1).clone()
    for _ in range(options.speech_updates):
        voices *= speech.T @ (mixture / (speech @ voices).clamp_min(_TINY))
    music = _first_spectra(mixture, speech @ voices, seed, options)
    tones = (totals / (2 * music.shape[1])).expand(music.shape[1], -1).clone()
    voices *= 0.5
    for _ in range(options.updates):
        ratio = mixture / (speech @ voices + music @ tones).clamp_min(_TINY)
        voices *= speech.T @ ratio
        tones *= music.T @ ratio
        tones = 0.5 * tones + 0.5 * _smoothed(tones, options.smoothing)
        ratio = mixture / (speech @ voices + music @ tones).clamp_min(_TINY)
        music = music * (ratio @ tones.T) / tones.sum(dim=1).clamp_min(_TINY)
        music = music / music.sum(dim=0).clamp_min(_TINY)
    wanted = (speech @ voices).pow(options.mask_power)
    unwanted = (music @ tones).pow(options.mask_power)
    return (wanted / (wanted + unwanted + _TINY)).clamp_min(options.least_gain)


def _first_spectra(mixture: Tensor, explained: Tensor, seed: int, options: MusicOptions) -> Tensor:
    """Frames of the mixture that speech explains worst for their loudness, as spectra that sum to one."""
    ratio = (mixture / explained.clamp_min(_TINY)).clamp_min(_TINY)
    divergence = (mixture * ratio.log() - mixture + explained).sum(dim=0) / mixture.sum(dim=0).clamp_min(1e-3)
    count = max(round(options.candidates * mixture.shape[1]), 1)
    worst = divergence.argsort(descending=True)[:count]
    order = torch.randperm(len(worst), generator=torch.Generator().manual_seed(seed))[: options.components]
    spectra = mixture[:, worst[order]] + 1e-6
    return spectra / spectra.sum(dim=0)


def _smoothed(activations: Tensor, frames: int) -> Tensor:
    kernel = torch.ones(1, 1, frames) / frames
    return torch.nn.functional.conv1d(activations.unsqueeze(1), kernel, padding=frames // 2)[:, 0]


def save_speech(path: Path, spectra: Tensor) -> None:
    """Write spectra of speech in half precision, each with its maximum at one."""
    temporary = path.with_suffix(f".{os.getpid()}.part")
    save_file({_SPECTRA: (spectra / spectra.max(dim=0).values).half().contiguous()}, temporary)
    temporary.chmod(0o644)  # the library writes for its owner alone
    os.replace(temporary, path)


def load_speech(path: Path) -> Tensor:
    """The spectra in a file that `save_speech` wrote, ``(bins, spectra)``; columns sum to one."""
    with safe_open(path, framework="pt") as file:
        spectra: Tensor = file.get_tensor(_SPECTRA).float()
    return spectra / spectra.sum(dim=0)
