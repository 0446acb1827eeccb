"""The pages in headless Chromium: a hostile card does nothing, pictures decode, a click sorts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import page_content
import pytest
from huggingface_hub import HfApi

from tamis.localhub import LiveHub, live

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Attributes that run something, restyle the page or lead to a script.
DANGEROUS = r"""
() => [...document.querySelectorAll('*')]
  .flatMap(one => [...one.attributes].map(attribute => [one.tagName, attribute.name, attribute.value]))
  .filter(([_, name, value]) => name.startsWith('on') || name === 'style' || /^\s*(javascript|data):/i.test(value))
"""

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    with live(tmp_path_factory.mktemp("browser")) as hub:
        page_content.publish(HfApi(endpoint=hub.url, token=hub.token))
        yield hub


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser, published: LiveHub) -> Iterator[object]:
    """A page that fails the test when anything asks for another server or opens a dialog."""
    context = browser.new_context(base_url=published.url, accept_downloads=False)
    opened = context.new_page()
    asked: list[str] = []
    dialogs: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    opened.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    yield opened
    context.close()
    assert not dialogs
    assert [url for url in asked if not url.startswith(published.url)] == []


def decoded(page) -> list[int]:
    return page.eval_on_selector_all(
        "main img", "all => all.map(one => { one.loading = 'eager'; return one.naturalWidth })"
    )


def test_from_the_list_to_metrics_and_pictures(page):
    page.goto("/")
    assert page.locator("ul.repos li").count() == 3
    page.get_by_role("link", name="me/lora").click()
    assert page.url.endswith("/me/lora")
    assert page.locator("table.metrics tbody tr").first.inner_text().split("\t")[2:4] == ["quiz_accuracy", "0.8123"]
    page.wait_for_function("[...document.querySelectorAll('main img')].every(one => one.naturalWidth > 0)")
    assert len(decoded(page)) == 4
    page.get_by_role("link", name="Files").click()
    page.get_by_role("link", name="pictures/").click()
    assert page.get_by_role("link", name="an other #1.png").count() == 1
    page.get_by_role("link", name="Commits").click()
    page.get_by_role("link", name="Publish").click()
    assert page.locator("table.files tbody tr").count() == 3


@pytest.mark.parametrize(
    "path",
    ["/me/hostile", "/me/hostile/tree/main", "/me/hostile/commits/main", "/me/hostile/discussions",
     "/me/hostile/discussions/1", "/datasets/me/scenes/viewer/scores/train", "/"],
)  # fmt: skip
def test_hostile_content_does_nothing(page, path: str):
    page.goto(path)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.hacked") is None
    assert page.evaluate(DANGEROUS) == []
    assert page.locator("script, iframe, object, embed, main style, main svg, base, video, article form").count() == 0
    if path == "/me/hostile":
        page.get_by_text("click me").click()
        assert page.url.endswith(path) and page.evaluate("window.hacked") is None
        assert page.get_by_text("harmless").is_visible()


def test_what_people_upload_runs_nowhere(page):
    page.goto("/me/hostile/raw/main/report.html")
    assert page.locator("h1").evaluate("one => getComputedStyle(one).color") == "rgb(0, 128, 128)", "its own style"
    assert page.title() != "ran" and page.evaluate("window.origin") == "null"
    for name in ("fake.png", "evil.xml"):
        page.goto(f"/me/hostile/raw/main/{name}")
        assert page.title() != "ran"


def test_rows_show_their_pictures_and_a_click_sorts(page):
    page.goto("/datasets/me/scenes")
    page.get_by_role("link", name="Rows").click()
    assert page.url.endswith("/datasets/me/scenes/viewer/scores/train")
    decoded(page)
    page.wait_for_load_state("networkidle")
    widths = decoded(page)
    odd = (page_content.BROKEN, page_content.SVG, page_content.BOMB)
    rows = [number for number in range(25) if number != page_content.NULL_PICTURE]
    assert [number for number, width in zip(rows, widths, strict=True) if not width] == list(odd)
    assert page.locator("tbody tr").nth(page_content.NULL_PICTURE).locator(".null").count() == 1

    def scores() -> list[float]:
        return [float(text) for text in page.locator("tbody tr td:nth-child(5)").all_inner_texts()]

    page.get_by_role("link", name="quiz_accuracy").click()
    assert scores() == sorted(scores(), reverse=True) and scores()[0] == 29
    page.get_by_role("link", name="quiz_accuracy").click()
    assert scores() == sorted(scores()) and scores()[0] == 0
    page.get_by_role("link", name="next").first.click()
    page.get_by_role("link", name="next").first.click()
    assert page.locator("tbody tr").count() == 10
    assert page.locator("tbody tr").last.locator("td").nth(4).inner_text() == "null"
    page.get_by_role("link", name="top-5 / train").click()
    assert page.locator("tbody tr").count() == 5
