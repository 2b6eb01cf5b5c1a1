"""The page in a real Chromium: what a person sees, and that it asks nobody else for anything."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.infra.needs import require
from tests.serve.conftest import Running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        require(False, "playwright (the dev extra)")
    binary = next(filter(None, map(shutil.which, NAMES)), None)
    require(binary, "a browser: install Chromium")
    with sync_playwright() as playwright:
        # No sandbox of its own: containers, and root, do not let it have one.
        started = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield started
        started.close()


@dataclass
class Seen:
    """A page, and everything it asked for and complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


Open = Callable[..., Seen]


@pytest.fixture
def open_page(browser: Browser, service: Running) -> Iterator[Open]:
    opened = []

    def open_it(**options: Any) -> Seen:
        page = browser.new_page(viewport={"width": 1280, "height": 900}, **options)
        page.set_default_timeout(PATIENCE_MS)
        seen = Seen(page)

        def asked(request: Request) -> None:
            seen.requests.append(request.url)

        page.on("request", asked)
        page.on("console", lambda message: seen.complaints.append(message.text))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        opened.append(page)
        page.goto(service.url)
        return seen

    yield open_it
    for page in opened:
        page.close()


def photo_file(data: bytes, name: str = "shirt.jpg") -> Any:
    return {"name": name, "mimeType": "image/jpeg", "buffer": data}


def choose(page: Page, *photos: bytes) -> None:
    page.set_input_files("#file", [photo_file(data) for data in photos])


def all_pictures_drawn(page: Page) -> None:
    """Wait for every picture that is there, and for those that are not to be replaced by words."""
    page.evaluate("async () => { await Promise.all([...document.images].map((image) => image.decode().catch(() => null))); }")
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")


def test_a_chosen_photo_shows_decision_mask_crop_and_candidates(open_page: Open, red_shirt: bytes, tmp_path: Path) -> None:
    seen = open_page()
    page = seen.page
    assert page.locator("#result").is_hidden()
    choose(page, red_shirt)
    page.wait_for_selector(".verdict.duplicate")
    assert page.inner_text(".verdict h2") == "It is in the catalogue"
    assert "red-plain" in page.inner_text(".verdict p")
    assert page.locator(".photos .one figure").count() == 3
    assert page.locator(".candidates > li").count() == 10
    best = page.locator(".candidates > li").first
    assert "red-plain" in best.inner_text()
    assert "hit" in (best.get_attribute("class") or "")
    assert page.locator("#status").inner_text().startswith("It is in the catalogue")
    # The three photos that may not be shown are said so in words; all others are drawn.
    all_pictures_drawn(page)
    hidden = {text.split()[-1] for text in page.locator(".candidates > li:has(.frame.none) .name").all_inner_texts()}
    assert hidden <= {"outside", "linked", "gone"}
    assert page.screenshot(path=tmp_path / "page.png", full_page=True)


def test_the_page_asks_nobody_else_and_breaks_no_rule_of_its_own(open_page: Open, service: Running, red_shirt: bytes) -> None:
    seen = open_page()
    choose(seen.page, red_shirt)
    seen.page.wait_for_selector(".candidates > li")
    seen.page.wait_for_load_state("networkidle")
    foreign = [url for url in seen.requests if not url.startswith((service.url, "data:", "blob:"))]
    assert foreign == []
    # Photos that may not be shown are 404s, which browsers write into their console; nothing else may be there.
    assert [text for text in seen.complaints if "404" not in text] == []


def test_a_policy_stops_what_is_slipped_in(open_page: Open) -> None:
    seen = open_page()
    ran = seen.page.evaluate(
        """() => new Promise((resolve) => {
            const script = document.createElement('script'); script.textContent = 'window.slipped = true';
            document.body.append(script);
            const image = new Image(); image.onload = () => resolve('loaded'); image.onerror = () => resolve(String(window.slipped));
            image.src = 'http://127.0.0.1:9/x.png';
        })"""
    )
    assert ran == "undefined"
    assert any("Content Security Policy" in text for text in seen.complaints)


def test_a_dropped_photo_is_searched_wherever_it_falls(open_page: Open, red_shirt: bytes) -> None:
    page = open_page().page
    page.evaluate(
        """(bytes) => {
            const carried = new DataTransfer();
            carried.items.add(new File([new Uint8Array(bytes)], 'dropped.jpg', {type: 'image/jpeg'}));
            for (const kind of ['dragenter', 'dragover', 'drop'])
                document.querySelector('footer').dispatchEvent(new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: carried}));
        }""",
        list(red_shirt),
    )
    page.wait_for_selector(".verdict.duplicate")


def test_several_photos_are_shown_each(open_page: Open, red_shirt: bytes) -> None:
    page = open_page().page
    choose(page, red_shirt, red_shirt)
    page.wait_for_selector(".verdict")
    assert page.locator(".photos .one").count() == 2
    assert "Your photo" in page.locator(".candidates > li").first.inner_text()


@pytest.mark.parametrize(
    ("photos", "words"),
    [
        ([b"no photo at all"], "This is no photo the service can read"),
        ([b""], "The file is empty"),
        ([b"x" * 400_001], "a photo may have 0.4 MB"),
        ([b"x"] * 4, "at most 3"),
    ],
)
def test_what_is_wrong_is_said_in_words_and_the_next_photo_works(
    open_page: Open, red_shirt: bytes, photos: list[bytes], words: str
) -> None:
    page = open_page().page
    choose(page, *photos)
    page.wait_for_selector("#error:not([hidden])")
    assert words in page.inner_text("#error")
    assert page.get_attribute("#error", "role") == "alert"
    choose(page, red_shirt)
    page.wait_for_selector(".verdict.duplicate")
    assert page.locator("#error").is_hidden()


def test_a_service_that_is_gone_is_said_in_words(open_page: Open, red_shirt: bytes) -> None:
    page = open_page().page
    page.route("**/search*", lambda route: route.abort())
    choose(page, red_shirt)
    page.wait_for_selector("#error:not([hidden])")
    assert "cannot be reached" in page.inner_text("#error")


def test_names_from_the_catalogue_are_text_and_never_markup(open_page: Open, service: Running, red_shirt: bytes) -> None:
    page = open_page().page

    def poisoned(route: Any) -> None:
        answer = route.fetch()
        body = answer.json()
        body["reason"] = "<img src=x onerror=window.slipped=1>"
        body["candidates"][0]["article_id"] = "<b id=slipped>x</b>"
        body["candidates"][0]["attributes"]["brand"] = "<script>window.slipped=1</script>"
        route.fulfill(response=answer, json=body)

    page.route("**/search*", poisoned)
    choose(page, red_shirt)
    page.wait_for_selector(".verdict")
    assert page.locator("#slipped").count() == 0
    assert "<b id=slipped>" in page.locator(".candidates > li").first.inner_text()
    assert page.evaluate("window.slipped") is None


def test_it_is_usable_by_keyboard_and_named_for_those_who_do_not_see(open_page: Open, red_shirt: bytes) -> None:
    page = open_page().page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    assert page.get_by_label("Drop a photo here").count() == 1
    assert page.get_attribute("html", "lang") == "en"
    choose(page, red_shirt)
    page.wait_for_selector(".verdict")
    assert page.evaluate("document.activeElement.id") == "result"
    assert page.evaluate("[...document.images].every(i => i.alt.length > 0)")


# WCAG 2.1 AA wants 4.5:1 for text. Measured in the browser, on the colours it really uses.
CONTRAST = """() => {
    const light = (rgb) => { const [r, g, b] = rgb.map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const parsed = (text) => text.match(/[\\d.]+/g).map(Number);
    const behind = (element) => { for (let e = element; e; e = e.parentElement) {
        const colour = parsed(getComputedStyle(e).backgroundColor); if (colour.length < 4 || colour[3] > 0) return colour.slice(0, 3); }
        return [255, 255, 255]; };
    const worst = [];
    for (const element of document.querySelectorAll('body *')) {
        const texts = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
        if (!texts || !element.checkVisibility() || ['STYLE', 'SCRIPT', 'NOSCRIPT'].includes(element.tagName)) continue;
        const [a, b] = [light(parsed(getComputedStyle(element).color).slice(0, 3)), light(behind(element))].sort((x, y) => y - x);
        worst.push([(a + 0.05) / (b + 0.05), element.tagName + '.' + element.className]);
    }
    return worst.sort((x, y) => x[0] - y[0])[0];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_light_and_dark(open_page: Open, red_shirt: bytes, scheme: str) -> None:
    page = open_page(color_scheme=scheme).page
    choose(page, red_shirt)
    page.wait_for_selector(".verdict")
    ratio, where = page.evaluate(CONTRAST)
    assert ratio >= 4.5, where
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(17, 21, 28)") is (scheme == "dark")


def test_on_a_phone_nothing_is_wider_than_the_screen(open_page: Open, red_shirt: bytes) -> None:
    page = open_page().page
    page.set_viewport_size({"width": 360, "height": 700})
    choose(page, red_shirt)
    page.wait_for_selector(".verdict")
    all_pictures_drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
