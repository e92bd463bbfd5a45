"""The page in a real browser: it turns, sorts, says what its JSON says, and needs no network."""

import json
import shutil
import time

import jax.random as jr
import numpy as np
import pytest
from systems import QUIET

import plrjax as plr

pytest.importorskip("selenium", reason="selenium is not installed")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not here"
)
PATIENCE = 60.0
"""Seconds: WebGL without a graphics card is slow to start."""


def bent() -> plr.PiecewiseAffineMap:
    """The Lozi map, and a third state that follows the first."""
    return plr.PiecewiseAffineMap(
        [[1.7, 1.0, 0.0], [0.5, 0.0, 0.0], [0.3, 0.0, 0.5]], [[-3.4], [0.0], [0.0]],
        [[1.0, 0.0, 0.0]], [1.0, 0.0, 0.0], [0.0],
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    place = tmp_path_factory.mktemp("page") / "report.html"
    data = np.asarray(plr.trajectory(bent(), np.array([0.1, 0.1, 0.0]), 2_000))[1_000:]
    plr.report(bent(), key=jr.key(0), periods=range(1, 5), data=data, progress=QUIET).save(place)
    return place


def opened(page, width: int, dark: bool):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    software = ("--enable-unsafe-swiftshader", "--use-gl=angle", "--use-angle=swiftshader")
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", *software):
        options.add_argument(argument)
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get(page.as_uri())
    end = time.monotonic() + PATIENCE
    ready = "return document.getElementById('view').dataset.ready"
    while browser.execute_script(ready) != "yes":
        assert time.monotonic() < end, browser.execute_script("return document.body.innerText")
        time.sleep(0.2)
    return browser


@pytest.fixture
def browser(page):
    found = opened(page, 1440, dark=False)
    yield found
    found.quit()


def test_the_view_turns(browser):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    eye = "return document.getElementById('view')._fullLayout.scene._scene.getCamera().eye"
    before = browser.execute_script(eye)
    place = browser.find_element(By.ID, "view")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", place)
    ActionChains(browser).move_to_element(place).click_and_hold().move_by_offset(
        150, 60
    ).release().perform()
    time.sleep(1.0)
    after = browser.execute_script(eye)
    assert max(abs(before[axis] - after[axis]) for axis in "xyz") > 0.05
    names = browser.execute_script(
        "return document.getElementById('view').data.map((trace) => trace.name)"
    )
    assert {"data", "switching boundaries"} < set(names) and "period 1, saddle" in names


def test_tables_sort(browser):
    column = "return [...document.querySelectorAll('#cycles-cycles tbody tr')].map((row) => "
    column += "parseFloat(row.cells[3].dataset.value))"
    before = browser.execute_script(column)
    press = "document.querySelectorAll('#cycles-cycles th button')[3].click()"
    for way in (1, -1):
        browser.execute_script(press)
        shown = browser.execute_script(column)
        assert sorted(before) == shown[::way] and len(shown) > 3
    state = "return document.querySelectorAll('#cycles-cycles th')[3].getAttribute('aria-sort')"
    assert browser.execute_script(state) == "descending"


def test_numbers_are_those_of_the_json(browser, page):
    facts = json.loads(page.with_suffix(".json").read_text("utf-8"))["parts"]
    for name in ("attractors-attractors", "cycles-cycles", "exponents-spectrum", "scores-scores"):
        part, table = name.split("-")
        rows = browser.execute_script(
            f"return [...document.querySelectorAll('#{name} tbody tr')].map((row) => "
            "[...row.cells].map((cell) => cell.dataset.value ?? null))"
        )
        assert len(rows) == len(facts[part][table])
        for row, record in zip(rows, facts[part][table]):
            pairs = zip(row, record.values())
            numbers = [(x, y) for x, y in pairs if isinstance(y, int | float)]
            assert numbers and all(float(x) == y for x, y in numbers)


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_asks_for_nothing(page, width, dark):
    browser = opened(page, width, dark)
    try:
        wide = "return document.documentElement.scrollWidth - window.innerWidth"
        assert browser.execute_script(wide) <= 0
        images = "return [...document.images].map((image) => [image.alt, image.naturalWidth])"
        images = browser.execute_script(images)
        assert len(images) > 5 and all(alt and size for alt, size in images)
        cut = "return [...document.querySelectorAll('p, li, figcaption, h1, h2, pre')].filter("
        cut += "(one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.innerText)"
        assert browser.execute_script(cut) == []
        errors = [one for one in browser.get_log("browser") if one["level"] == "SEVERE"]
        assert not errors
        sent = [json.loads(one["message"])["message"] for one in browser.get_log("performance")]
        urls = [x["params"]["request"]["url"] for x in sent if x["method"].endswith("BeSent")]
        assert not [url for url in urls if not url.startswith(("file:", "data:", "blob:"))]
        ink = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert ink == ("rgb(18, 22, 27)" if dark else "rgb(255, 255, 255)")
    finally:
        browser.quit()
