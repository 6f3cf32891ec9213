"""A `Separator` made of a blind separator and a matcher, which finds each anonymous voice's speaker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from meetsplit.pipeline.data import Audio, Speaker, Voice
from meetsplit.pipeline.errors import BrokenPromise
from meetsplit.pipeline.protocols import BlindSeparator, Matcher, Unseparated


class MatchingSeparator:
    """A `Separator` that splits with ``blind`` into one voice per speaker and names them with ``matcher``.

    `separate` raises `Unseparated`: ``three-voices`` where ``blind`` cannot split into that many voices, and
    ``overlap-unresolved`` where two or more speakers have no clean speech to be matched by. One such speaker gets the
    voice that is left over, with margin None: nothing was compared.
    """

    def __init__(self, blind: BlindSeparator, matcher: Matcher) -> None:
        self.rate: int = blind.rate
        self._blind = blind
        self._matcher = matcher

    def separate(self, mixture: Audio, enrollment: Mapping[Speaker, Sequence[Audio]]) -> Mapping[Speaker, Voice]:
        """One voice per enrolled speaker; a speaker alone gets the mixture as it is."""
        if len(enrollment) < 2:
            return {speaker: Voice(mixture) for speaker in enrollment}
        if len(enrollment) not in self._blind.counts:
            able = " or ".join(str(count) for count in sorted(self._blind.counts))
            reason = "three-voices" if len(enrollment) > 2 else "overlap-unresolved"
            raise Unseparated(reason, f"{len(enrollment)} people speak at once and this model takes apart {able}")
        unenrolled = [speaker for speaker, clips in enrollment.items() if not clips]
        if len(unenrolled) > 1:
            raise Unseparated(
                "overlap-unresolved", f"{', '.join(unenrolled)} never speak alone: their voices cannot be told apart"
            )
        voices = self._blind.split(mixture, len(enrollment))
        matched = dict(self._matcher.match(voices, {speaker: clips for speaker, clips in enrollment.items() if clips}))
        if unenrolled:
            matched[unenrolled[0]] = Voice(_remaining(voices, matched))
        return {speaker: matched[speaker] for speaker in enrollment}


def _remaining(voices: Sequence[Audio], matched: Mapping[Speaker, Voice]) -> Audio:
    """The one voice that was matched to no speaker. Raises `BrokenPromise` where that is not exactly one."""
    taken = {id(voice.audio) for voice in matched.values()}
    remaining = [voice for voice in voices if id(voice) not in taken]
    if len(remaining) != 1:
        raise BrokenPromise(
            "separate",
            f"the matcher answered with voices that are not among the {len(voices)} it was asked about",
        )
    return remaining[0]
