"""What score reads: every format, names that pair, and a sentence for everything that is wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from meetsplit.cli import main
from meetsplit.pipeline.data import Provenance, Segment, Span, Transcript, Turn, Word
from meetsplit.pipeline.errors import ScoreError, SettingsError
from meetsplit.pipeline.formats import export
from meetsplit.pipeline.settings import Outputs
from meetsplit.scoring.normalize import normalize_utterances, normalizer
from meetsplit.scoring.pairing import pair_up
from meetsplit.scoring.protocol import Protocol
from meetsplit.scoring.scores import score
from meetsplit.scoring.session_files import read_sessions

STM = "call 1 A 0.0 2.0 hello there\ncall 1 B 1.5 3.0 good morning\n"
RTTM = "SPEAKER call 1 0.0 2.0 <NA> <NA> A <NA> <NA>\nSPEAKER call 1 1.5 1.5 <NA> <NA> B <NA> <NA>\n"
SEGLST = json.dumps(
    [
        {"session_id": "call", "speaker": "A", "start_time": 0.0, "end_time": 2.0, "words": "hello there"},
        {"session_id": "call", "speaker": "B", "start_time": "1.5", "end_time": "3.0", "words": "good morning"},
    ]
)
SEGMENTS = [
    {
        "start": 0.0,
        "end": 2.0,
        "speaker": "A",
        "text": " hello there",
        "words": [{"word": "hello"}, {"word": "there", "start": 1.2, "end": 2.0}],
    },
    {"start": 1.5, "end": 3.0, "speaker": "B", "text": " good morning", "words": []},
]
TURNS = (Turn(Span(0.0, 2.0), "A"), Turn(Span(1.5, 3.0), "B"))


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("call.stm", STM),
        ("call.rttm", RTTM),
        ("call.json", SEGLST),
        ("call.seglst.json", SEGLST),
        ("call.txt", STM),
        ("call.ref", RTTM),
        ("call.json", json.dumps({"segments": SEGMENTS})),
        ("call.stm", ";; comment\n\n" + STM.replace("hello", "<o,f0,female> hello")),
        ("call.rttm", "SPKR-INFO call 1 <NA> <NA> <NA> unknown A <NA>\n" + RTTM),
    ],
)
def test_every_format_tells_the_same_turns(name: str, text: str, tmp_path: Path) -> None:
    [session] = read_sessions(put(tmp_path, name, text))
    assert session.recording == "call"
    assert session.turns == TURNS
    if session.has_words:
        assert [u.text for u in session.utterances] == ["hello there", "good morning"]


def test_our_own_json_is_read_with_its_turns_and_word_times(tmp_path: Path) -> None:
    words = (Word(Span(0.1, 0.5), "Hello,"), Word(Span(0.5, 1.9), "there."))
    transcript = Transcript("call", 9.0, (Segment("A", words, language="en"),), TURNS, Provenance("1"))
    [session] = read_sessions(put(tmp_path, "other.json", export(transcript, "json", Outputs())))
    assert (session.recording, session.language, session.turns, session.timed) == ("call", "en", TURNS, True)
    assert session.utterances[0].words == words
    assert [(u.span, u.speaker, u.text) for u in session.utterances] == [(Span(0.1, 1.9), "A", "Hello, there.")]


def test_words_without_times_share_the_room_between_their_neighbours(tmp_path: Path) -> None:
    words = [
        {"word": "a"},
        {"word": "b"},
        {"word": "c", "start": 2.0, "end": 2.5},
        {"word": "4"},
        {"word": "e", "start": 3.0, "end": 4.0},
    ]
    segment = {"start": 1.0, "end": 4.0, "speaker": "A", "text": "a b c 4 e", "words": words}
    [session] = read_sessions(put(tmp_path, "call.json", json.dumps({"segments": [segment]})))
    assert [(w.text, w.span.start, w.span.end) for w in session.utterances[0].words] == [
        ("a", 1.0, 1.5),
        ("b", 1.5, 2.0),
        ("c", 2.0, 2.5),
        ("4", 2.5, 3.0),
        ("e", 3.0, 4.0),
    ]
    assert any("3 words have no time" in notice for notice in session.notices)


def test_normalised_words_keep_the_times_of_the_words_they_come_from(tmp_path: Path) -> None:
    texts = ["Um,", "I", "don't", "owe", "twenty", "five", "dollars."]
    words = [{"word": text, "start": float(n), "end": n + 0.5} for n, text in enumerate(texts)]
    segment = {"start": 0.0, "end": 7.0, "speaker": "A", "text": " ".join(texts), "words": words}
    [session] = read_sessions(put(tmp_path, "call.json", json.dumps({"segments": [segment]})))
    [utterance] = normalize_utterances(session, normalizer("english"))
    tokens = [(token.text, float(token.start)) for token in utterance.tokens]
    assert [text for text, _ in tokens] == ["i", "do", "not", "owe", "$25"]
    assert [start for text, start in tokens if text in ("i", "do", "owe")] == [1.0, 2.0, 3.0]
    assert tokens[-1][1] == pytest.approx(4.0)


def test_words_and_turns_of_one_recording_may_come_from_two_files(tmp_path: Path) -> None:
    turns = RTTM.replace("0.0 2.0", "0.5 1.0")
    paired = pair_up(
        [put(tmp_path, "hyp/call.stm", STM)], [put(tmp_path, "call.stm", STM), put(tmp_path, "call.rttm", turns)]
    )
    assert paired.pairs[0].reference.turns[0] == Turn(Span(0.5, 1.5), "A")
    assert len(paired.pairs[0].reference.utterances) == 2
    with pytest.raises(ScoreError, match=r"both give the words of 'call' in the references"):
        pair_up([tmp_path / "hyp/call.stm"], [tmp_path / "call.stm", put(tmp_path, "again.stm", STM)])


def test_a_file_name_pairs_where_the_names_inside_differ(tmp_path: Path) -> None:
    hypothesis = put(tmp_path, "out/monday.json", json.dumps({"segments": SEGMENTS}))
    reference = put(tmp_path, "monday.stm", STM)
    assert pair_up([hypothesis], [reference]).pairs[0].hypothesis.utterances


def test_the_order_of_the_hypotheses_does_not_matter_and_ambiguity_is_said(tmp_path: Path) -> None:
    reference = [put(tmp_path, "monday.stm", STM.replace("call", "one")), put(tmp_path, "tuesday.stm", STM)]
    words = put(tmp_path, "out/monday.stm", STM.replace("call", "x"))
    turns = put(tmp_path, "out/monday.rttm", RTTM.replace("call", "y").replace("0.0 2.0", "0.5 1.0"))
    for files in ([words, turns], [turns, words]):
        paired = pair_up(files, reference)
        assert paired.pairs[0].hypothesis.utterances
        assert paired.pairs[0].hypothesis.turns[0] == Turn(Span(0.5, 1.5), "A")
        assert paired.notices == ("call: no hypothesis; it is scored as if nothing had been heard",)
    again = put(tmp_path, "again/monday.stm", STM.replace("call", "z"))
    for files in ([words, again], [again, words]):
        with pytest.raises(ScoreError, match="both give the words of 'one' in the hypotheses: name one of them"):
            pair_up(files, reference)
    both = put(tmp_path, "out/tuesday.stm", STM.replace("call", "monday"))
    paired = pair_up([both], reference)
    assert f"{both}: fits the references 'call' and 'one'; it is scored as 'call'" in paired.notices
    exact = put(tmp_path, "exact.stm", STM)
    for files in ([both, exact], [exact, both]):
        paired = pair_up(files, reference)
        assert [pair.hypothesis.source for pair in paired.pairs] == [str(both), str(exact)]


def test_a_file_of_several_recordings_is_not_known_by_its_name(tmp_path: Path) -> None:
    reference = put(tmp_path, "week.stm", STM + STM.replace("call", "lunch"))
    with pytest.raises(ScoreError, match="no recording has both"):
        pair_up([put(tmp_path, "out/week.stm", STM.replace("call", "x"))], [reference])


def test_missing_and_extra_recordings_are_defined_and_said(tmp_path: Path) -> None:
    reference = put(tmp_path, "ref.stm", STM + STM.replace("call", "lost"))
    hypothesis = put(tmp_path, "hyp.stm", STM + STM.replace("call", "extra"))
    paired = pair_up([hypothesis], [reference])
    scores = score(paired.pairs, Protocol(), notices=paired.notices)
    assert any("no reference for 'extra'" in notice for notice in scores.notices)
    assert any("lost: no hypothesis; it is scored as if nothing had been heard" in notice for notice in scores.notices)
    lost = scores.recordings[1].total
    assert {errors.deletions for errors in lost.words.values()} == {4}
    assert lost.turns is not None
    assert (lost.turns.der, lost.turns.jer, lost.turns.count_error) == (1.0, 1.0, 2)
    assert scores.pooled.total.words["cpwer"].rate == 0.5


def test_empty_hypotheses_and_references_without_speech_have_answers(tmp_path: Path) -> None:
    silent, talking = put(tmp_path, "a/call.stm", ""), put(tmp_path, "b/call.stm", STM)
    [row] = score(pair_up([silent], [talking]).pairs, Protocol()).recordings
    assert {errors.rate for errors in row.total.words.values()} == {1.0}
    [row] = score(pair_up([talking], [silent]).pairs, Protocol()).recordings
    assert {(errors.rate, errors.insertions) for errors in row.total.words.values()} == {(None, 4)}
    assert row.total.reasons["cpwer"] == "the reference has no words; 4 were heard"
    assert row.total.reasons["der"] == "nobody speaks in the reference; 3.5 s were heard"
    [row] = score(pair_up([silent], [silent]).pairs, Protocol()).recordings
    assert row.total.words["tcpwer"].errors == 0


def test_turns_alone_have_no_word_errors_and_say_so(tmp_path: Path) -> None:
    rttm, stm = put(tmp_path, "call.rttm", RTTM), put(tmp_path, "b/call.stm", STM)
    [row] = score(pair_up([stm], [rttm]).pairs, Protocol()).recordings
    assert row.total.words == {}
    assert row.total.reasons["tcpwer"] == "the reference has turns but no words"
    assert row.total.turns is not None
    assert row.total.turns.der == pytest.approx(0.0)
    [row] = score(pair_up([rttm], [stm]).pairs, Protocol()).recordings
    assert row.total.reasons["cpwer"] == "the hypothesis has turns but no words"


def test_only_what_the_uem_names_is_scored(tmp_path: Path) -> None:
    late = STM + "call 1 A 100.0 102.0 something else entirely\n"
    reference, hypothesis, uem = (
        put(tmp_path, "call.stm", late),
        put(tmp_path, "h/call.stm", STM),
        put(tmp_path, "call.uem", "call 1 0 50\n"),
    )
    [row] = score(pair_up([hypothesis], [reference], uem).pairs, Protocol(uem="call.uem")).recordings
    assert row.total.words["cpwer"].errors == 0
    assert row.total.turns is not None
    assert row.total.turns.miss == 0
    paired = pair_up([hypothesis], [reference], put(tmp_path, "other.uem", "other 1 0 50\n"))
    assert any("no stretch for 'call'" in notice for notice in paired.notices)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        (
            "call.stm",
            "call 1 A 0.0 2.0 fine\ncall 1 A -1 2.0 hello\n",
            r"call\.stm, line 2: starts at -1 s, before the recording",
        ),
        ("call.stm", "call 1 A 3.0 2.0 hello\n", r"line 1: ends at 2 s, before it starts at 3 s"),
        ("call.stm", "call 1 A zero 2.0 hello\n", r"line 1: the start is 'zero', not a number of seconds"),
        ("call.stm", "call 1 A nan 2.0 hello\n", r"line 1: the start is 'nan'"),
        ("call.stm", "call 1 A\n", r"line 1: an STM line is"),
        ("call.rttm", "SPEAKER call 1 0.0\n", r"line 1: a SPEAKER line has 9 or 10 fields"),
        (
            "call.rttm",
            RTTM + "SPEAKR call 1 0 1 <NA> <NA> A <NA>\n",
            r"line 3: an RTTM line begins with a type such as SPEAKER, not 'SPEAKR'",
        ),
        ("call.rttm", "SPEAKER call 1 1.0 -2.0 <NA> <NA> A <NA> <NA>\n", r"line 1: ends at -1 s, before it starts"),
        ("call.json", '{"segments": [\n{]}', r"call\.json, line 2: not valid JSON"),
        ("call.json", '{"text": "hello"}', r"neither a transcript .* nor SegLST"),
        ("call.json", '[{"session_id": "a", "words": "x"}]', r"segment 1: speaker and start_time and end_time missing"),
        ("call.json", '{"segments": [{"text": "hello"}]}', r"segment 1: the start is missing: times are seconds"),
        (
            "call.json",
            '{"segments": [{"start": 0, "end": 1, "words": [{"word": "x", "start": -1, "end": 1}]}]}',
            r"segment 1, word 1: starts at -1 s",
        ),
        ("call.json", '{"segments": ["hello"]}', r"segment 1: an object was expected, not 'hello'"),
        ("call.txt", "Hello there.\n", r"has an unknown format: give RTTM, STM, SegLST or a transcript in JSON"),
        ("call.txt", "", r"is empty: give RTTM, STM, SegLST"),
    ],
)
def test_bad_files_get_a_sentence(name: str, text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match=sentence):
        read_sessions(put(tmp_path, name, text))


def test_files_that_cannot_be_read_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match="cannot be read: No such file"):
        read_sessions(tmp_path / "gone.stm")
    (tmp_path / "sound.stm").write_bytes(b"RIFF\xff\xfe\x00\x80")
    with pytest.raises(ScoreError, match="is not text in UTF-8"):
        read_sessions(tmp_path / "sound.stm")
    with pytest.raises(SettingsError, match="at least one hypothesis"):
        pair_up([], [tmp_path / "gone.stm"])


def test_a_hypothesis_for_another_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ScoreError, match=r"the hypotheses are about 'lunch', the references about 'call': no recording has both"
    ):
        pair_up([put(tmp_path, "lunch.stm", STM.replace("call", "lunch"))], [put(tmp_path, "call.stm", STM)])


def test_unsorted_times_are_sorted_and_said(tmp_path: Path) -> None:
    backwards = "\n".join(reversed(STM.splitlines()))
    [row] = score(
        pair_up([put(tmp_path, "h/call.stm", backwards)], [put(tmp_path, "call.stm", STM)]).pairs, Protocol()
    ).recordings
    assert row.total.words["tcpwer"].errors == 0
    assert any("are not sorted by start" in notice for notice in row.notices)


def test_another_language_or_recording_is_suspected(tmp_path: Path) -> None:
    long = (
        "call 1 A 0.0 20.0 "
        + "the budget is ready and we will send it to them on friday before lunch "
        + "because they asked for it twice already\n"
    )
    german = (
        "call 1 A 0.0 20.0 "
        + "das angebot steht schon lange fest aber niemand hat es ihnen bis heute geschickt "
        + "obwohl sie zweimal gefragt haben\n"
    )
    russian = "call 1 A 0.0 20.0 бюджет готов\n"
    reference = put(tmp_path, "call.stm", long)
    for text, sentence in (
        (german, "for another recording, or in another language"),
        (russian, "letters, the hypothesis in Cyrillic"),
    ):
        [row] = score(pair_up([put(tmp_path, "h/call.stm", text)], [reference]).pairs, Protocol()).recordings
        assert any(sentence in notice for notice in row.notices)
    german_json = json.dumps(
        {"language": "de", "segments": [{"start": 0, "end": 2, "speaker": "A", "text": "guten tag"}]}
    )
    [row] = score(pair_up([put(tmp_path, "h/call.json", german_json)], [reference]).pairs, Protocol()).recordings
    assert any("--normalizer basic suits other languages" in notice for notice in row.notices)


def test_transcripts_without_speakers_count_as_one_persons(tmp_path: Path) -> None:
    plain = json.dumps(
        {"text": "hello", "segments": [{"id": 0, "start": 0.0, "end": 3.0, "text": " hello there good morning"}]}
    )
    [row] = score(
        pair_up([put(tmp_path, "h/call.json", plain)], [put(tmp_path, "call.stm", STM)]).pairs, Protocol()
    ).recordings
    assert any("names no speakers" in notice for notice in row.notices)
    assert row.total.words["cpwer"].errors == 4


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"normalizer": "englich"}, r"--normalizer englich: did you mean 'english'\? There are: basic, english, none"),
        ({"collar": -0.25}, r"--collar -0.25: seconds forgiven"),
        ({"collar": float("nan")}, r"--collar nan"),
        ({"word_collar": 0.0}, r"must be more than 0"),
    ],
)
def test_senseless_protocols_are_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        Protocol(**options)  # type: ignore[arg-type]


def test_without_meeteval_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stm = tmp_path / "call.stm"
    stm.write_text("call 1 ann 0.0 1.0 good morning\n")
    for name in [name for name in sys.modules if name.partition(".")[0] == "meeteval"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "meeteval", None)
    with pytest.raises(SystemExit) as ended:
        main(["score", str(stm), "--ref", str(stm)])
    assert ended.value.code == 1
    assert "pip install 'meetsplit[score]'" in capsys.readouterr().err
