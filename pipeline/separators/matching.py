"""Anonymous voices with names: a blind separator and a matcher make a `Separator`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from meetsplit.pipeline.data import Audio, Speaker, Voice
from meetsplit.pipeline.errors import BrokenPromise
from meetsplit.pipeline.protocols import BlindSeparator, Matcher, Separator, Unseparated


def matched(blind: BlindSeparator, matcher: Matcher) -> Separator:
    """A `Separator` that splits with ``blind`` into as many voices as there are speakers and names them with ``matcher``.

    Its `separate` raises `Unseparated`: ``three-voices`` where ``blind`` cannot split into that many voices, and
    ``overlap-unresolved`` where two or more speakers have no clean speech to be known by. One such speaker is known by
    elimination, with margin None: nothing was compared.
    """
    return _Matched(blind, matcher)


class _Matched:
    def __init__(self, blind: BlindSeparator, matcher: Matcher) -> None:
        self.rate: int = blind.rate
        self._blind = blind
        self._matcher = matcher

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        if len(enrollment) < 2:
            return {speaker: Voice(mixture) for speaker in enrollment}
        if len(enrollment) not in self._blind.counts:
            able = " or ".join(str(count) for count in sorted(self._blind.counts))
            reason = "three-voices" if len(enrollment) > 2 else "overlap-unresolved"
            raise Unseparated(reason, f"{len(enrollment)} people speak at once and this model takes apart {able}")
        strangers = [speaker for speaker, clips in enrollment.items() if not clips]
        if len(strangers) > 1:
            raise Unseparated(
                "overlap-unresolved", f"{', '.join(strangers)} never speak alone: their voices cannot be told apart"
            )
        voices = self._blind.split(mixture, len(enrollment))
        named = dict(self._matcher.match(voices, {speaker: clips for speaker, clips in enrollment.items() if clips}))
        if strangers:
            taken = {id(voice.audio) for voice in named.values()}
            left = [voice for voice in voices if id(voice) not in taken]
            if len(left) != 1:
                raise BrokenPromise(
                    "separate",
                    f"the matcher answered with voices that are not among the {len(voices)} it was asked about",
                )
            named[strangers[0]] = Voice(left[0])
        return {speaker: named[speaker] for speaker in enrollment}
