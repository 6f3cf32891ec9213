"""The page of a transcript in a real Chromium: opened from disk, without a network, as a person uses it.

One browser serves the whole file; tests are few and long for that reason.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import (
    FIREFOX,
    chromium,
    installed,
    segment,
    standup,
    tone_sound,
    transcript,
    wait_for_sound,
    write_page,
)

from meetsplit.cli import main
from meetsplit.pipeline import formats
from meetsplit.pipeline.data import Transcript, VoiceMatch
from meetsplit.pipeline.formats import html
from meetsplit.pipeline.settings import Outputs

PATIENCE = 30_000  # milliseconds: other processes take turns with the browser

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
expect.set_options(timeout=PATIENCE)

PAGE = Path(html.__file__).parent


def need(package: str) -> Path:
    """The folder of a package of npm, a development dependency of the page; the test is skipped where it is missing."""
    folder = PAGE / "node_modules" / package
    if not folder.is_dir():
        pytest.skip(f"{package} is not installed: npm ci --ignore-scripts in {PAGE}")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of `standup`, with its sound."""
    meeting = standup()
    return write_page(tmp_path_factory.mktemp("page") / "stand-up.html", meeting, tone_sound(meeting))


class Visitor:
    """Opens pages without a network, one after the other; ``complaints`` are what they said or asked for elsewhere."""

    def __init__(self, browser: Any) -> None:
        self.browser, self.complaints = browser, list[str]()
        self.page = self.new_page()

    def new_page(self, **options: Any) -> Any:
        page = self.browser.new_context(offline=True, **options).new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: _is_own(request.url) or self.complaints.append(request.url))
        return page

    def visit(self, address: str, *, width: int = 1280, colours: str = "light", media: str = "screen") -> Any:
        """The page at an address, which this browser has not seen before."""
        self.page.set_viewport_size({"width": width, "height": 800})
        self.page.emulate_media(color_scheme=colours, media=media)
        self.page.goto(address)
        if self.page.evaluate("localStorage.length"):
            self.page.evaluate("localStorage.clear()")
            self.page.reload()
        return self.page


@pytest.fixture(scope="module")
def visitor(browser: Any) -> Visitor:
    return Visitor(browser)


@pytest.fixture
def visit(visitor: Visitor) -> Iterator[Callable[..., Any]]:
    """Opens an address; at the end no page may have complained or asked for anything elsewhere."""
    yield visitor.visit
    visitor.page.goto("about:blank")  # no page goes on playing while another test runs
    complaints, visitor.complaints = visitor.complaints, []
    assert complaints == []


def _is_own(url: str) -> bool:
    return url.split(":")[0] in ("file", "blob", "data")


def seconds(page: Any) -> float:
    """The moment at which the sound of a page is."""
    page.wait_for_function("() => !document.querySelector('#audio audio').seeking")
    return float(page.evaluate("document.querySelector('#audio audio').currentTime"))


def texts(page: Any, selector: str) -> list[str]:
    return [text.strip() for text in page.locator(selector).all_inner_texts()]


def test_opens_plays_and_lets_one_voice_of_two_be_heard_alone(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    assert page.title() == "stand-up"
    assert texts(page, "#people .name") == ["Ana", "Ben", "SPEAKER_02"]
    assert page.locator(".segment").count() == 5
    assert page.locator('[data-segment="0"] .words').inner_text() == "good morning everyone let us start with our plan"
    assert page.locator("#audio audio").count() == 0, "sound is decoded when it is first needed"

    page.locator('[data-segment="1"] [data-word="1"]').click()
    page.get_by_role("button", name="Play", exact=True).click()
    wait_for_sound(page, ["SPEAKER_01", "SPEAKER_02"], ["SPEAKER_00"])
    page.get_by_role("button", name="Solo: hear Ben alone").click()
    wait_for_sound(page, ["SPEAKER_01"], ["SPEAKER_00", "SPEAKER_02"])
    page.get_by_role("button", name="Solo: hear Ben alone").click()
    page.get_by_role("button", name="Mute Ben").click()
    page.locator('[data-segment="1"] [data-word="1"]').click()
    wait_for_sound(page, ["SPEAKER_02"], ["SPEAKER_00", "SPEAKER_01"])
    page.keyboard.press("0")
    wait_for_sound(page, ["SPEAKER_01", "SPEAKER_02"], ["SPEAKER_00"])
    assert page.locator('.segment.current[data-segment="2"] .word.current').count() == 1
    page.get_by_role("button", name="Pause").click()
    assert page.evaluate("[...document.querySelectorAll('audio')].every((audio) => audio.paused)")


def test_click_on_a_word_or_on_the_lanes_jumps_there(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => document.querySelector('#audio audio')?.currentTime > 0.05")
    words = {(3, 4): 16.6, (1, 10): 10.0, (0, 0): 1.0}
    while_playing = [page.evaluate(CLICK_AND_LOOK, [turn, word]) for turn, word in words]
    assert while_playing == pytest.approx(list(words.values()), abs=0.1)
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('#audio audio').paused")
    for (turn, word), start in words.items():
        page.locator(f'[data-segment="{turn}"] [data-word="{word}"]').click()
        assert seconds(page) == pytest.approx(start, abs=0.1)
        assert page.locator(".moment").inner_text() == f"0:{start:04.1f}"
        assert page.locator(f'[data-segment="{turn}"] [data-word="{word}"].current.selected').count() == 1
    lanes = page.locator(".lanes").bounding_box()
    page.mouse.click(lanes["x"] + 0.75 * lanes["width"], lanes["y"] + lanes["height"] / 2)
    assert seconds(page) == pytest.approx(18.0, abs=0.1)


CLICK_AND_LOOK = """([segment, word]) => {
  document.querySelector(`[data-segment="${segment}"] [data-word="${word}"]`).click();
  return document.querySelector("#audio audio").currentTime;
}"""


def test_search_filter_and_places_to_review_lead_to_their_turns(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    count = page.locator(".search .count")
    page.get_by_label("Search the transcript").fill("THE report")
    expect(count).to_have_text("1 of 2")
    assert texts(page, ".hit") == ["the", "report"] * 2
    assert texts(page, ".hit-current") == ["the", "report"]
    page.get_by_role("button", name="Next place (Enter)").click()
    expect(count).to_have_text("2 of 2")
    assert page.locator('[data-segment="2"] .hit-current').count() == 2
    page.get_by_label("Search the transcript").fill("giraffe")
    expect(count).to_have_text("none")
    page.get_by_label("Search the transcript").press("Escape")

    page.get_by_label("Whose turns are shown").select_option("Ana")
    assert shown_segments(page) == [0, 3]
    page.get_by_label("Whose turns are shown").select_option("Everyone")
    assert shown_segments(page) == [0, 1, 2, 3, 4]
    page.get_by_label("To review 2").check()
    assert shown_segments(page) == [2, 4]
    page.get_by_label("To review 2").uncheck()

    page.get_by_role("button", name="Next place to review (N)").click()
    expect(page.locator('[data-segment="2"].selected')).to_be_focused()
    assert page.locator(".moment").inner_text() == "0:06.2"
    assert "could not be taken apart" in page.locator('[data-segment="2"] .review-note').inner_text()
    page.get_by_role("button", name="Next place to review (N)").click()
    expect(page.locator('[data-segment="4"].selected')).to_be_focused()
    page.get_by_role("button", name="Previous place to review (P)").click()
    expect(page.locator('[data-segment="2"].selected')).to_be_focused()


def shown_segments(page: Any) -> list[int]:
    visible = page.locator(".segment:visible")
    return [int(element.get_attribute("data-segment")) for element in visible.all()]


def test_keys_of_the_sound_and_of_people(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    assert moment_after(page, "ArrowRight", "ArrowRight", "Shift+ArrowLeft") == "0:09.0"
    assert moment_after(page, "ArrowLeft") == "0:04.0"
    page.keyboard.press("]")
    assert page.get_by_label("Speed").input_value() == "1.25"
    moment_after(page, "[", "[")
    assert page.get_by_label("Speed").input_value() == "0.75"
    page.keyboard.press("2")
    assert texts(page, '#people [aria-pressed="true"]') == ["Solo"]
    page.keyboard.press("2")
    assert texts(page, '#people [aria-pressed="true"]') == []
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_keys_of_the_transcript_and_of_the_lanes(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    assert moment_after(page, "n") == "0:06.2"
    assert moment_after(page, "n") == "0:19.5"
    assert moment_after(page, "p") == "0:06.2"
    assert moment_after(page, "ArrowDown") == "0:15.0"
    assert moment_after(page, "ArrowUp", "ArrowUp") == "0:06.0"
    assert moment_after(page, ".", ".") == "0:06.4"
    assert moment_after(page, ",") == "0:06.0"
    page.keyboard.press("l")
    expect(page.locator("#timeline")).to_be_hidden()
    page.keyboard.press("l")
    expect(page.locator(".window")).to_be_hidden()  # all of the meeting is in view
    page.keyboard.press("+")
    whole = page.locator(".overview").bounding_box()["width"]
    assert page.locator(".window").bounding_box()["width"] == pytest.approx(whole / 2, abs=2)
    page.keyboard.press("/")
    expect(page.get_by_label("Search the transcript")).to_be_focused()
    page.keyboard.type("n new")  # letters go into the field: no place to review is looked for
    assert page.get_by_label("Search the transcript").input_value() == "n new"
    assert moment_after(page, "Escape", "?") == "0:06.0"
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_be_visible()
    assert {"Space", "N", "P", "?"} <= set(texts(page, "#help kbd"))
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    page.locator("#correct-more").focus()
    page.keyboard.press("Tab")
    expect(page.locator(".segment.selected")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#numbers summary")).to_be_focused()


def moment_after(page: Any, *keys: str) -> str:
    """The moment that a page shows when the keys have been pressed."""
    for key in keys:
        page.keyboard.press(key)
    return str(page.locator(".moment").inner_text())


HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "<!--<script>",
    "${alert(3)}",
    "__proto__",
    "\u2028'\"&amp;\u202e",
)


def test_hostile_names_words_and_file_names_stay_text(visit: Callable[..., Any], tmp_path: Path) -> None:
    name = "a#b?c%20&<b>'\"`$page"
    people = {f"SPEAKER_{number:02d}": text for number, text in enumerate(HOSTILE)}
    speech = [
        segment(speaker, 2.0 * number, " ".join(HOSTILE), pace=0.2, review=(HOSTILE[number],))
        for number, speaker in enumerate(people)
    ]
    meeting = transcript(name, 12.0, speech, people)
    (tmp_path / f"{name}.wav").write_bytes(tone_sound(standup()).recording.content)
    sound = html.PageSound(html.SoundFile("audio/wav", path=f"{name}.wav"))
    page = visit(write_page(tmp_path / f"{name}.html", meeting, sound))
    assert page.title() == name
    assert texts(page, "h1") == [name]
    expected = [shown(text) for text in HOSTILE]
    assert [shown(text) for text in page.locator("#people .name").all_text_contents()] == expected
    assert [shown(text) for text in page.locator("#person option").all_text_contents()] == ["Everyone", *expected]
    for number in range(len(HOSTILE)):
        words = page.locator(f'[data-segment="{number}"] .word').all_text_contents()
        assert "".join(words) == "".join("".join(HOSTILE).split())
        assert [shown(page.locator(f'[data-segment="{number}"] .who').text_content())] == [expected[number]]
    page.get_by_label("Search the transcript").fill("<img src=x")
    expect(page.locator(".search .count")).to_have_text("1 of 6")
    assert page.locator("body img, body [onerror], #page script, #top script").count() == 0
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => document.querySelector('#audio audio').currentTime > 0.2")
    expect(page.locator(".remark")).to_have_text(
        "This page has the recording alone: people cannot be heard one by one."
    )


def shown(text: str) -> str:
    return " ".join(text.split())


INJECTED = {
    "script-src-elem": "document.body.append(made('script', { textContent: 'window.injected = 1' }))",
    "script-src-attr": "document.body.insertAdjacentHTML('beforeend', '<b onclick=\"window.injected = 2\">')",
    "style-src-elem": "document.head.append(made('style', { textContent: 'p {}' }))",
    "style-src-attr": "document.body.insertAdjacentHTML('beforeend', '<p style=\"position: fixed\">')",
    "connect-src": "fetch('https://example.org').catch(() => 0)",
    "img-src": "document.body.append(made('img', { src: 'https://example.org/x.png' }))",
    "frame-src": "document.body.append(made('iframe', { src: 'https://example.org/' }))",
}


def test_policy_of_the_page_blocks_what_is_injected(visitor: Visitor, address: str) -> None:
    page = visitor.visit(address)
    blocked = {name: page.evaluate(BLOCKED_BY % attempt) for name, attempt in INJECTED.items()}
    assert blocked == {name: name for name in INJECTED}
    assert page.evaluate("window.injected") is None
    page.goto("about:blank")
    visitor.complaints.clear()  # Chromium tells what it blocked


BLOCKED_BY = """() => new Promise((resolve) => {
  const made = (tag, fields) => Object.assign(document.createElement(tag), fields);
  const options = { once: true };
  document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective), options);
  setTimeout(resolve, 5000, "nothing");
  %s;
})"""


def test_eight_people_and_short_turns_stay_readable(visit: Callable[..., Any], tmp_path: Path) -> None:
    """Every turn of 200 ms is a mark of its own in its person's lane, and every name is there to read."""
    people = [f"SPEAKER_{number:02d}" for number in range(8)]
    speech = [
        segment(people[turn % 8], 1 + 0.45 * turn + 0.1 * (turn % 3), "yes", pace=0.2 / 0.9) for turn in range(240)
    ]
    page = visit(write_page(tmp_path / "crowd.html", transcript("crowd", 120.0, speech)))
    assert page.evaluate(COUNT_MARKS) == [30] * 8
    assert sorted(texts(page, "#people .swatch")) == list("12345678")
    for name in page.locator("#people .name").all():
        assert name.evaluate("(element) => element.scrollWidth <= element.clientWidth && element.clientHeight >= 14")


COUNT_MARKS = """() => {
  const canvas = document.querySelector(".lanes canvas");
  const { width, height } = canvas;
  const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const people = [...document.querySelectorAll("#people li")];
  const ruler = (26 * height) / canvas.clientHeight;
  return people.map((person, row) => {
    const fill = getComputedStyle(person).getPropertyValue("--fill").trim();
    const wanted = [1, 3, 5].map((at) => parseInt(fill.slice(at, at + 2), 16));
    const line = Math.round(ruler + ((row + 0.5) * (height - ruler)) / people.length) * width;
    let marks = 0;
    let inside = false;
    for (let x = 0; x < width; x++) {
      const [red, green, blue, alpha] = pixels.slice(4 * (line + x), 4 * (line + x) + 4);
      const is = alpha > 100 && [red, green, blue].every((part, i) => Math.abs(part - wanted[i]) < 40);
      if (is && !inside) marks++;
      inside = is;
    }
    return marks;
  });
}"""


def test_phone_shows_all_without_scrolling_sideways(visitor: Visitor, address: str) -> None:
    page = visitor.new_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    one, other = (page.locator(f'[data-segment="{number}"]').bounding_box() for number in (1, 2))
    assert one["y"] + one["height"] <= other["y"], "who speaks at once stands below each other"
    play = page.get_by_role("button", name="Play", exact=True)
    box = play.bounding_box()
    assert box["y"] + box["height"] <= 740
    assert min(box["width"], box["height"]) >= 44
    play.tap()
    page.wait_for_function("() => document.querySelector('#audio audio')?.currentTime > 0.05")
    page.locator('[data-segment="3"] [data-word="4"]').tap()
    expect(page.locator('[data-segment="3"] .word.current')).not_to_have_count(0)
    page.context.close()
    assert visitor.complaints == []


def test_paper_shows_the_transcript_with_names_and_no_controls(visit: Callable[..., Any], address: str) -> None:
    page = visit(address, colours="dark", media="print")
    assert page.locator("button:visible:not(.at), input:visible, select:visible, .lanes:visible").count() == 0
    assert texts(page, ".segment .who:visible") == ["Ana", "Ben", "SPEAKER_02", "Ana", "SPEAKER_02"]
    assert page.locator(".word:visible").count() == page.locator(".word").count()
    assert page.locator(".printed .lanes-drawing:visible").count() == 1
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"


def test_axe_has_no_serious_complaint(visit: Callable[..., Any], address: str) -> None:
    """axe-core (npm) on the page with places found and a word selected, and with its dialogs and a menu open."""
    axe = need("axe-core") / "axe.min.js"
    page = visit(address)
    page.evaluate(axe.read_text("utf-8"))
    page.locator('[data-segment="1"] [data-word="1"]').click()
    page.get_by_label("Search the transcript").fill("report")
    expect(page.locator(".hit-current")).to_have_count(1)
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 800})
        for colours in ("light", "dark"):
            page.emulate_media(color_scheme=colours)
            assert complaints_of_axe(page) == [], f"{width} pixels, {colours}"
    for button, opened in {"Speaker…": ".menu", "People…": "dialog[open]", "Keys (?)": "dialog[open]"}.items():
        page.get_by_role("button", name=button).click()
        assert complaints_of_axe(page, opened) == [], button
        page.keyboard.press("Escape")


def complaints_of_axe(page: Any, part: str = "html") -> list[str]:
    """Serious and critical violations in a part of a page, each with its element and what to do."""
    violations = page.evaluate(
        """async (part) => {
          const { violations } = await axe.run(part, { resultTypes: ["violations"], preload: false });
          return violations.filter(({ impact }) => impact === "serious" || impact === "critical");
        }""",
        part,
    )
    return [f"{one['id']}: {node['html']} {node['failureSummary']}" for one in violations for node in one["nodes"]]


def test_corrections_are_saved_and_exported_and_all_else_stays(
    visit: Callable[..., Any], address: str, tmp_path: Path
) -> None:
    """Every kind of correction by hand; undone again, the file is byte for byte what Python wrote."""
    page = visit(address)
    original = formats.export(standup(), "json", Outputs())
    rename(page, "SPEAKER_02", "Caro")
    edit_word(page, 0, 2, "all")
    page.locator('[data-segment="3"] [data-word="5"]').click()
    page.keyboard.press("s")  # "that is very good news" | "what about the new computers"
    expect(page.locator(".segment")).to_have_count(6)
    page.keyboard.press("m")
    page.get_by_role("menuitem", name="Ben").click()
    expect(page.locator('[data-segment="4"] .who')).to_have_text("Ben")
    page.locator('[data-segment="5"] header').click()
    page.keyboard.press("c")
    expect(page.locator('[data-segment="5"] .checked-note')).to_have_count(1)

    saved = json.loads(save(page).read_text("utf-8"))
    expected = json.loads(original)
    expected["speakers"]["SPEAKER_02"] = "Caro"
    assert (saved["speakers"], saved["duration"]) == (expected["speakers"], expected["duration"])
    assert [one["text"] for one in saved["segments"]] == [
        "good morning all let us start with our plan",
        expected["segments"][1]["text"],
        expected["segments"][2]["text"],
        "that is very good news",
        "what about the new computers",
        expected["segments"][4]["text"],
    ]
    assert [one["speaker"][-1] for one in saved["segments"]] == list("012012")
    assert saved["segments"][1:3] == expected["segments"][1:3]
    first, last = saved["segments"][0], saved["segments"][5]
    assert first["words"][2] == {**expected["segments"][0]["words"][2], "word": "all", "score": None}
    assert first["words"][:2] + first["words"][3:] == [
        word for number, word in enumerate(expected["segments"][0]["words"]) if number != 2
    ]
    assert (last["review"], last["checked"]) == ([], ["low-speaker-margin"])

    corrected = tmp_path / "corrected.json"
    corrected.write_text(json.dumps(saved), "utf-8")
    command("export", corrected, "-f", "srt,vtt,txt,stm", "-o", tmp_path / "out")
    lines = next((tmp_path / "out").glob("*.txt")).read_text("utf-8")
    assert "Ben: what about the new computers" in lines
    assert "Caro: not yet" in lines
    assert "good morning all let us" in next((tmp_path / "out").glob("*.srt")).read_text("utf-8").replace("\n", " ")

    for _ in range(5):
        page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.get_by_role("button", name="Undo", exact=True)).to_be_disabled()
    assert save(page).read_text("utf-8") == original
    page.keyboard.press("Control+Shift+z")
    expect(page.locator('#people [data-speaker="SPEAKER_02"] .name')).to_have_text("Caro")


def rename(page: Any, speaker: str, name: str) -> None:
    page.locator(f'#people [data-speaker="{speaker}"] .name').dblclick()
    page.get_by_label("Name of").fill(name)
    page.keyboard.press("Enter")
    expect(page.locator(f'#people [data-speaker="{speaker}"] .name')).to_have_text(name)


def edit_word(page: Any, turn: int, word: int, text: str) -> None:
    page.locator(f'[data-segment="{turn}"] [data-word="{word}"]').dblclick()
    page.get_by_label("Word", exact=True).fill(text)
    page.keyboard.press("Enter")
    expect(page.locator(f'[data-segment="{turn}"] .words')).to_contain_text(text)


def save(page: Any) -> Path:
    """The file that the button downloads."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save", exact=True).click()
    assert download.value.suggested_filename == "stand-up.corrected.json"
    return Path(download.value.path())


def test_words_people_and_drafts_are_corrected_with_keys_and_menus(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    page.locator('[data-segment="3"] [data-word="3"]').click()
    page.locator('[data-segment="3"] [data-word="4"]').click(modifiers=["Shift"])
    page.keyboard.press("m")
    page.keyboard.press("3")  # "good news" was said by the third person
    assert who_says(page) == ["Ana", "Ben", "SPEAKER_02", "Ana", "SPEAKER_02", "Ana", "SPEAKER_02"]
    page.keyboard.press("Control+z")
    expect(page.locator(".segment")).to_have_count(5)
    page.locator('[data-segment="0"] header').click()
    page.keyboard.press("j")
    expect(page.locator(".segment")).to_have_count(4)
    page.get_by_role("button", name="People…").click()
    page.get_by_label("Make SPEAKER_02 the same person as").select_option("Ben")
    page.keyboard.press("Escape")
    assert texts(page, "#people .name") == ["Ana", "Ben"]
    assert sorted(set(who_says(page))) == ["Ana", "Ben"]
    expect(page.locator("#correct-note")).to_contain_text("kept in this browser")

    page.reload()
    assert texts(page, "#people .name") == ["Ana", "Ben"]
    expect(page.locator("#correct-note")).to_contain_text("are back")
    page.get_by_role("button", name="Discard them").click()
    assert texts(page, "#people .name") == ["Ana", "Ben", "SPEAKER_02"]
    expect(page.locator(".segment")).to_have_count(5)
    page.reload()
    expect(page.locator("#correct-note")).to_be_hidden()


def test_suggested_name_is_taken_with_one_click_and_given_back(visit: Callable[..., Any], tmp_path: Path) -> None:
    meeting = dataclasses.replace(standup(), voices=(("SPEAKER_02", VoiceMatch("suggested", "<b>Chris", 5.0, 2.0)),))
    page = visit(write_page(tmp_path / "suggested.html", meeting, tone_sound(meeting)))
    suggestion = page.get_by_role("button", name="SPEAKER_02 may be <b>Chris, by voice: use this name")
    suggestion.click()
    assert texts(page, "#people .name") == ["Ana", "Ben", "<b>Chris"]
    expect(suggestion).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    assert texts(page, "#people .name") == ["Ana", "Ben", "SPEAKER_02"]
    expect(suggestion).to_be_visible()
    page.get_by_role("button", name="People…").click()
    page.get_by_role("button", name="May be <b>Chris, by voice: use this name", exact=True).click()
    page.keyboard.press("Escape")
    assert texts(page, "#people .name") == ["Ana", "Ben", "<b>Chris"]


def test_long_suggested_name_is_shortened_before_its_question_mark(visit: Callable[..., Any], tmp_path: Path) -> None:
    voices = (("SPEAKER_02", VoiceMatch("suggested", "Wilhelmina " * 6, 5.0, 2.0)),)
    page = visit(write_page(tmp_path / "long.html", dataclasses.replace(standup(), voices=voices)))
    button = page.locator("#people .suggestion")
    expect(button).to_be_visible()
    shown, mark, edge = button.evaluate(
        """(button) => {
            const range = document.createRange();
            range.selectNode(button.lastChild);
            const name = button.firstChild;
            const [mark, edge] = [range, button].map((one) => one.getBoundingClientRect().right);
            return [[name.clientWidth, name.scrollWidth], mark, edge];
        }"""
    )
    assert button.text_content().endswith("?")
    assert 20 < shown[0] < shown[1]
    assert mark <= edge


def who_says(page: Any) -> list[str]:
    return texts(page, ".segment .who")


def test_page_of_a_run_plays_tracks_that_are_in_step(visit: Callable[..., Any], tmp_path: Path) -> None:
    """The command `run` on the tones: in the page, each person's own track plays."""
    meeting = standup()
    recording, turns, words = (tmp_path / f"in/tones.{ending}" for ending in ("wav", "rttm", "ctm"))
    recording.parent.mkdir()
    recording.write_bytes(tone_sound(meeting).recording.content)
    turns.write_text(formats.export(meeting, "rttm", Outputs()), "utf-8")
    words.write_text(ctm(meeting), "utf-8")
    given = ("--rttm", turns, "--script", words, "--separate", "off", "--cache-dir", tmp_path / "cache")
    command("run", recording, *given, "-f", "html", "-o", tmp_path)
    page = visit((tmp_path / "tones.html").as_uri())
    page.locator('[data-segment="0"] [data-word="0"]').click()
    page.keyboard.press("1")
    page.keyboard.press("Space")
    wait_for_sound(page, ["SPEAKER_00"], ["SPEAKER_01", "SPEAKER_02"])
    assert page.evaluate("document.querySelector('#audio [data-speaker]').duration") == pytest.approx(24.0, abs=0.1)
    page.keyboard.press("1")
    page.keyboard.press("3")
    page.locator('[data-segment="0"] [data-word="0"]').click()
    wait_for_sound(page, [], ["SPEAKER_00", "SPEAKER_01", "SPEAKER_02"])


def command(*arguments: str | Path) -> None:
    """Run a command of the program in this process."""
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments)])
    assert not end.value.code


def ctm(meeting: Transcript) -> str:
    """The words with their times."""
    words = [word for one in meeting.segments for word in one.words]
    return "".join(f"x 1 {word.span.start:.2f} {word.span.duration:.2f} {word.text}\n" for word in words)


def test_firefox_opens_the_page_and_plays_one_voice_alone(address: str, tmp_path: Path) -> None:
    """Firefox through puppeteer-core (npm), which drives the one that a system has."""
    firefox, node = installed(*FIREFOX), installed("node")
    script = PAGE / "tests" / "firefox.js"
    need("puppeteer-core")
    wishes = {"speaker": "SPEAKER_01", "word": [1, 2]}
    done = subprocess.run(
        [node, script, firefox, address, json.dumps(wishes)],
        env={**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["title"], seen["words"], seen["complaints"]) == ("stand-up", 66, [])
    assert (seen["together"], seen["alone"]) == (["recording"], ["SPEAKER_01"])
    assert seen["moment"] == pytest.approx(6.8, abs=0.1)
    assert seen["shown"] == "0:06.8"
