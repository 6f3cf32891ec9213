"""Sound of a page: in step with the recording, embedded up to a limit, linked beyond it, found again by `export`."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import av
import numpy as np
import pytest

from meetsplit.pipeline.data import Provenance, Transcript
from meetsplit.pipeline.events import Notice, Progressed
from meetsplit.pipeline.formats.html import NO_SOUND
from meetsplit.pipeline.results import page_sound
from meetsplit.pipeline.results.page_sound import SoundSources, compress, expected_bytes, stage_sound
from meetsplit.pipeline.results.writing import export_transcript
from meetsplit.pipeline.settings import Outputs


def sound_of(page: Path) -> dict[str, Any]:
    """What a page plays, with the content of embedded files."""
    text = page.read_text("utf-8")
    places = json.loads(re.search(r'id="sound">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]
    embedded = dict(re.findall(r'id="(sound-\d+)">(.*?)</script>', text))

    def content(place: dict[str, str] | None) -> bytes | str | None:
        if place is None:
            return None
        source = place["source"]
        return base64.b64decode(embedded[source[1:]]) if source.startswith("#") else unquote(source)

    return {"recording": content(places["recording"]), **{who: content(it) for who, it in places["tracks"].items()}}


def decoded(content: bytes) -> tuple[float, np.ndarray[Any, np.dtype[np.float32]]]:
    """Start in seconds, and samples at 48 kHz, as a player has them."""
    with av.open(io.BytesIO(content)) as container:
        frames = list(container.decode(audio=0))
    return float(frames[0].pts * frames[0].time_base), np.concatenate([frame.to_ndarray()[0] for frame in frames])


@pytest.mark.parametrize("rate", [8000, 44100])
def test_compressed_sound_stays_in_step(rate: int, tmp_path: Path, call: Any) -> None:
    clicks = np.zeros(121 * rate, np.float32)
    times = np.arange(0.5, 121, 7.25)
    for time in times:
        at = round(time * rate)
        clicks[at : at + rate // 500] = 0.7 * np.sin(2 * np.pi * 1000 * np.arange(rate // 500) / rate)
    call.write_pcm(tmp_path / "clicks.wav", [(clicks * 32767).astype("<i2")], rate=rate)
    shares: list[float] = []
    compress(tmp_path / "clicks.wav", tmp_path / "clicks.webm", 121.0, shares.append)
    start, samples = decoded((tmp_path / "clicks.webm").read_bytes())
    assert start == pytest.approx(0, abs=0.005)
    assert len(samples) / 48000 == pytest.approx(121, abs=0.02)
    loud = np.flatnonzero(np.abs(samples) > 0.2) / 48000
    found = [loud[np.abs(loud - time).argmin()] for time in times]
    assert np.abs(np.array(found) - times).max() < 0.02
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert (tmp_path / "clicks.webm").stat().st_size < 121 * 2000, "next to nothing is said in it"


def test_a_run_writes_a_page_with_the_recording_and_every_track(call: Any) -> None:
    done: list[float] = []
    call.hear = lambda event: done.append(event.done) if isinstance(event, Progressed) else None
    call.formats = Outputs().formats
    call.run()
    sound = sound_of(call.out / "call.html")
    assert list(sound) == ["recording", "SPEAKER_00", "SPEAKER_01"]
    for content in sound.values():
        start, samples = decoded(content)
        assert (start, len(samples) / 48000) == (pytest.approx(0, abs=0.005), pytest.approx(6, abs=0.02))
    _, track = decoded(sound["SPEAKER_00"])
    assert np.abs(track[48000:96000]).max() > 0.2
    assert np.abs(track[3 * 48000 :]).max() < 0.01, "the other voice is not in it"
    assert sorted(file.name for file in (call.out / "call").iterdir()) == ["A.wav", "B.wav"]


def written(call: Any, **options: Any) -> list[str]:
    """Run it with these options of the outputs; the notices."""
    from meetsplit.pipeline.cache import run_cache
    from meetsplit.pipeline.results.writing import run_and_write
    from meetsplit.pipeline.run import Pipeline

    heard: list[Any] = []
    with run_cache.open_cache(call.path, call.settings) as stages:
        outputs = Outputs(call.out, formats=("json", "html"), **options)
        pipeline = Pipeline(call.settings, on_event=heard.append)
        run_and_write(pipeline, call.path, outputs, cache=stages, on_event=heard.append)
    return [event.text for event in heard if isinstance(event, Notice)]


def test_beyond_the_limit_the_page_links_to_files_of_its_set(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_sound, "EMBED_LIMIT", 1000)
    call.path = call.path.rename(call.path.with_name("a #1%: b.wav"))
    (notice,) = written(call)
    assert "links to its sound" in notice
    stem = "a #1%: b"
    page = call.out / f"{stem}.html"
    sound = sound_of(page)
    assert sound == {
        "recording": f"{stem}/recording.webm",
        "SPEAKER_00": f"{stem}/A.wav",
        "SPEAKER_01": f"{stem}/B.wav",
    }
    assert all((call.out / path).is_file() for path in sound.values())
    assert '"a%20%231%25%3A%20b/A.wav"' in page.read_text("utf-8")
    json_file = call.out / f"{stem}.json"
    again = export_transcript(json_file, call.out / "elsewhere", Outputs(formats=("html",), html_audio="link"))
    assert sound_of(again.files[0])["SPEAKER_01"] == f"../{stem}/B.wav"
    export_transcript(json_file, call.out, Outputs(formats=("html",), html_audio="link"))
    assert (call.out / stem / "recording.webm").is_file()
    monkeypatch.undo()
    assert written(call) == []
    assert isinstance(sound_of(page)["recording"], bytes)
    assert not (call.out / stem / "recording.webm").exists(), "no page links to it any more"


def test_what_was_not_asked_for_is_not_there(call: Any) -> None:
    written(call, tracks=False)
    assert list(sound_of(call.out / "call.html")) == ["recording"]
    written(call, tracks=False, html_audio="link")
    assert sound_of(call.out / "call.html") == {"recording": "call/recording.webm"}
    written(call, html_audio="none")
    assert sound_of(call.out / "call.html") == {"recording": None}


def test_export_finds_the_sound_beside_the_transcript_or_says_that_there_is_none(call: Any, tmp_path: Path) -> None:
    written(call, html_audio="none")
    page = Outputs(formats=("html",))
    (file,) = export_transcript(call.out / "call.json", call.out, page).files
    assert list(sound_of(file)) == ["recording", "SPEAKER_00", "SPEAKER_01"]
    call.path.unlink()
    (file,) = export_transcript(call.out / "call.json", call.out, page).files
    assert sound_of(file)["recording"] is None, "another recording of that name would be none of its own"
    alone = tmp_path / "alone" / "call.json"
    alone.parent.mkdir()
    alone.write_bytes((call.out / "call.json").read_bytes())
    heard: list[Any] = []
    (file,) = export_transcript(alone, alone.parent, page, on_event=heard.append).files
    assert sound_of(file) == {"recording": None}
    assert [event.text for event in heard if isinstance(event, Notice)] == [
        f"the page of {alone} has no sound: neither tracks nor the recording lie beside it"
    ]
    saved = Transcript.read(call.out / "call.json").save(tmp_path / "saved", "html")
    assert sound_of(saved[0]) == {"recording": None}


def test_a_machine_without_the_encoder_writes_a_page_without_sound(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meetsplit.pipeline.results.writing.can_compress", lambda: False)
    (notice,) = written(call)
    assert "no Opus encoder" in notice
    assert sound_of(call.out / "call.html") == {"recording": None}


def test_sizes_are_known_before_the_work(tmp_path: Path) -> None:
    assert expected_bytes(3600, [1800, 1800]) < page_sound.EMBED_LIMIT < expected_bytes(7200, [3600, 3600])
    empty = Transcript("call", 1.0, (), (), Provenance("0.1.0"))
    silent = stage_sound(SoundSources(), replace(empty), Outputs(), tmp_path)
    assert silent.placed(tmp_path, "call") == NO_SOUND
