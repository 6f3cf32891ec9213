"""Makes page-*.png, the pictures of the page: the sample meeting, light, dark, on a phone and on paper.

    python docs/images/make_page_screenshots.py [PAGE.html]

runs `meetsplit run` on the sample with its true turns and words, or takes a page that is there. It needs Chromium, and
`pip install playwright pillow`.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent
SAMPLE = IMAGES.parents[1] / "sample_data"
COLOURS = 256
MOMENT = 51.0
"""Seconds of the meeting at which two people speak."""


def main() -> None:
    """Make the page, and the pictures of it."""
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = Path(sys.argv[1]) if len(sys.argv) > 1 else sample_page(Path(folder))
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program)
        for name, options in {
            "light": {"viewport": {"width": 1400, "height": 860}},
            "dark": {"viewport": {"width": 1400, "height": 860}, "color_scheme": "dark"},
            "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True},
            "print": {"viewport": {"width": 794, "height": 1123}},  # A4 at 96 dots an inch
        }.items():
            context = browser.new_context(offline=True, **options)
            tab = context.new_page()
            tab.goto(page.as_uri())
            if name == "print":
                tab.emulate_media(media="print")
                tab.evaluate("document.body.style.margin = '15mm'")  # as printers leave it
            elif name != "phone":
                look(tab)
            save(tab.screenshot(), IMAGES / f"page-{name}.png")
            context.close()
        browser.close()


def sample_page(folder: Path) -> Path:
    """The page of the sample meeting with its true turns and words, and people's names."""
    recording = SAMPLE / "standup.m4a"
    truth = ["--rttm", str(recording.with_suffix(".rttm")), "--script", str(recording.with_suffix(".ctm"))]
    program = str(Path(sys.executable).with_name("meetsplit"))
    names = ["--names", "Ana,Ben,Caro"]
    subprocess.run([program, "run", recording, *truth, *names, "-f", "html", "-o", folder, "--offline"], check=True)
    return folder / "standup.html"


def look(tab: Any) -> None:
    """Bring the page to where two people speak at once, with a word selected."""
    segments = tab.evaluate("JSON.parse(document.querySelector('#transcript').textContent).segments")
    at = next(number for number, one in enumerate(segments) if one["overlap"] and one["start"] > MOMENT)
    tab.locator(f'[data-segment="{at}"] [data-word="2"]').scroll_into_view_if_needed()
    tab.locator(f'[data-segment="{at}"] [data-word="2"]').click()
    tab.mouse.move(0, 0)
    tab.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


def save(png: bytes, path: Path) -> None:
    """Write a picture with a palette, which is a third of the size and looks the same."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
