"""The page in a real browser: Debian's Chromium, driven by Selenium."""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.support.browser import lines, text, until, write
from tests.support.functions import start, wait_until_ready
from tests.support.optional import needs_program
from tests.support.paths import TWEETS, shipped_store
from tests.support.servers import ServerProcess, SpawnAgent
from vaccel_common.modelfile import read_extras

pytestmark = [
    pytest.mark.e2e,
    needs_program("chromedriver", "chromium chromium-driver"),
]

#: What the fixture ``function`` sets for the tests of this module.
FUNCTION_ENV = {"MAX_TEXTS": "4", "MAX_TEXT_CHARS": "500", "MAX_BODY": "1600"}


@pytest.fixture
def page(browser: webdriver.Chrome, function: ServerProcess) -> Iterator[webdriver.Chrome]:
    browser.get_log("browser")
    browser.get(function.addresses["http"] + "/")
    until(browser, lambda: text(browser, "ready") == "Ready")
    yield browser
    assert browser.get_log("browser") == []


def look_again(browser: webdriver.Chrome) -> None:
    """The page becomes visible again, as after another tab."""
    browser.execute_script("document.dispatchEvent(new Event('visibilitychange'))")


def asked(browser: webdriver.Chrome) -> list[str]:
    """The requests that the page has sent since this was last called."""
    messages = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    return [message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"]


def test_one_text(page: webdriver.Chrome) -> None:
    """Its label, a bar for each class, the time taken and where, and the model; where the agent is, nobody is told."""
    lines(page, False)
    write(page, "What a lovely day for a walk in the park")
    page.find_element(By.ID, "go").click()
    until(page, lambda: text(page, "label") == "neither")
    bars = page.find_elements(By.CSS_SELECTOR, ".bar")
    assert [bar.text.split("\n")[0] for bar in bars] == ["hate-speech", "offensive-language", "neither"]
    assert [bar for bar in bars if "best" in str(bar.get_attribute("class"))] == [bars[2]]
    shown = text(page, "facts")
    for part in ("Time taken", "tokenize", "rpc", "queue", "forward", "tweets ("):
        assert part in shown
    assert "unix://" not in page.page_source
    assert "ready since" in text(page, "about")
    assert not page.find_element(By.ID, "second").is_displayed()


def test_what_the_model_is_for(page: webdriver.Chrome) -> None:
    """The sentences of the model's file, as text."""
    about = read_extras(TWEETS).about
    assert text(page, "purpose") == f"{about.description} {about.limits}"


def test_by_the_keyboard_alone(page: webdriver.Chrome) -> None:
    """The text has the focus; Ctrl+Enter sends; Tab leads to the button, and on to the links."""
    page.switch_to.active_element.send_keys("good morning")
    page.switch_to.active_element.send_keys(Keys.CONTROL, Keys.ENTER)
    until(page, lambda: text(page, "label") == "neither")
    names = []
    for _ in range(5):
        page.switch_to.active_element.send_keys(Keys.TAB)
        names.append(page.switch_to.active_element.get_attribute("id") or page.switch_to.active_element.text)
    assert names[:2] == ["lines", "go"]
    assert "OpenAPI" in names


def test_many_lines_as_a_table_and_a_file(page: webdriver.Chrome) -> None:
    """More lines than one request may hold; a bad one has its error; the file quotes what must be, and holds no formula."""
    texts = ['good "morning", all', "<img src=x onerror=alert(1)>", "=1+1", "x" * 501, "tea", "see you"]
    page.execute_script("document.getElementById('text').value = arguments[0]", "\n".join(texts))
    lines(page, True)
    page.find_element(By.ID, "go").click()
    until(page, lambda: text(page, "count").startswith("6 of 6"))
    rows = page.find_elements(By.CSS_SELECTOR, "#rows tr")
    assert [row.find_element(By.TAG_NAME, "td").text for row in rows] == texts
    assert "at most 500" in rows[3].text
    assert not page.find_elements(By.CSS_SELECTOR, "#rows img")
    page.find_element(By.ID, "csv").click()
    file: Path = page.downloads / "predictions.csv"  # type: ignore[attr-defined]
    until(page, file.exists)
    with file.open(newline="") as opened:
        table = list(csv.DictReader(opened))
    assert [row["text"] for row in table] == [texts[0], texts[1], "'=1+1", *texts[3:]]
    assert [row["label"] != "" for row in table] == [True, True, True, False, True, True]
    assert sum(float(table[0][label]) for label in ("hate-speech", "offensive-language", "neither")) == pytest.approx(1)


def test_lines_are_divided_by_what_a_body_may_hold(page: webdriver.Chrome) -> None:
    """Four of these are too many bytes for one request; one that is too large alone has an error of its own."""
    texts = [*("long " * 99 + str(i) for i in range(5)), "\u00e9" * 900, "tea"]
    page.execute_script("document.getElementById('text').value = arguments[0]", "\n".join(texts))
    lines(page, True)
    page.find_element(By.ID, "go").click()
    until(page, lambda: text(page, "count").startswith("7 of 7"))
    rows = page.find_elements(By.CSS_SELECTOR, "#rows tr")
    assert [row.get_attribute("class") for row in rows] == ["", "", "", "", "", "bad", ""]
    assert "the text is too long; at most 1600 bytes" in rows[5].text


def test_a_line_without_a_token_is_told_as_a_text(page: webdriver.Chrome) -> None:
    """A place in a request, which the user did not write, is in no message."""
    page.execute_script("document.getElementById('text').value = arguments[0]", "one\ntwo\nthree\nfour\nfive\n\u200b")
    lines(page, True)
    page.find_element(By.ID, "go").click()
    until(page, lambda: text(page, "count").startswith("6 of 6"))
    (bad,) = page.find_elements(By.CSS_SELECTOR, "#rows tr.bad")
    assert "the text is empty: 1 character" in bad.text
    assert "texts[" not in bad.text


def test_an_error_is_shown(page: webdriver.Chrome) -> None:
    """What the function says is wrong; the next text is classified as ever."""
    lines(page, False)
    write(page, " ")
    page.find_element(By.ID, "go").click()
    until(page, lambda: "is empty" in text(page, "error"))
    # The browser itself notes every answer that is an error.
    assert all("422" in entry["message"] for entry in page.get_log("browser"))
    write(page, "<b>tea</b>")
    page.find_element(By.ID, "go").click()
    until(page, lambda: text(page, "label") != "")
    assert not page.find_element(By.ID, "error").is_displayed()


def test_nothing_is_loaded_from_elsewhere(page: webdriver.Chrome, function: ServerProcess) -> None:
    """Every request of the page goes to the function; the policy allows nothing else."""
    page.get_log("performance")
    page.refresh()
    until(page, lambda: text(page, "ready") == "Ready")
    sent = [entry["message"] for entry in page.get_log("performance") if '"Network.requestWillBeSent"' in entry["message"]]
    assert len(sent) >= 4
    for message in sent:
        assert f'"url":"{function.addresses["http"]}/' in message or '"url":"data:' in message


def test_an_open_page_asks_for_nothing(page: webdriver.Chrome, function: ServerProcess) -> None:
    """While nobody acts on it for a minute, so that it keeps no pod alive. When it is looked at again, it asks once, in no line of
    the log.
    """
    asked(page)
    log = function.text
    time.sleep(60)
    assert asked(page) == []
    look_again(page)
    url = function.addresses["http"]
    until(page, lambda: asked(page) == [f"{url}/page/state"])
    assert function.text == log
    metrics = requests.get(f"{url}/metrics", timeout=5).text
    assert 'function_requests_total{code="200",route="/page/state"}' in metrics
    assert 'function_requests_total{code="200",route="/"}' not in metrics


def test_an_agent_that_is_away(browser: webdriver.Chrome, spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """The page says so, shows the error of a request, and notices the agent when it is looked at or used again."""
    server = start(tmp_path, f"unix://{tmp_path}/a.sock", AGENT_WAIT_S="0")
    try:
        browser.get(server.addresses["http"] + "/")
        until(browser, lambda: text(browser, "ready").startswith("No agent is ready"))
        write(browser, "good morning")
        browser.find_element(By.ID, "go").click()
        until(browser, lambda: "No such file or directory (try again in" in text(browser, "error"))
        agent = spawn_agent("-a", f"unix://{tmp_path}/a.sock", "--models", str(shipped_store()), "--preload", "tweets")
        wait_until_ready(server)
        look_again(browser)
        until(browser, lambda: text(browser, "ready") == "Ready")
        agent.stop(signal.SIGKILL)
        browser.find_element(By.ID, "go").click()
        until(browser, lambda: text(browser, "ready").startswith("No agent is ready"))
        spawn_agent("-a", f"unix://{tmp_path}/a.sock", "--models", str(shipped_store()), "--preload", "tweets")
        browser.find_element(By.ID, "go").click()
        until(browser, lambda: text(browser, "label") == "neither")
        until(browser, lambda: text(browser, "ready") == "Ready")
    finally:
        browser.get("about:blank")
        browser.get_log("browser")
        server.stop()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits(page: webdriver.Chrome, width: int, scheme: str) -> None:
    """At the width of a desktop and of a phone, in light and dark: nothing is wider than the window."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 1100, "deviceScaleFactor": 1, "mobile": width < 600}
    )
    try:
        for name, words, many in (
            ("one", "What a lovely day for a walk in the park", False),
            ("many", "good morning\ntea\n=1\n" + "long words " * 60, True),
        ):
            page.execute_script("document.getElementById('text').value = arguments[0]", words)
            lines(page, many)
            page.find_element(By.ID, "go").click()
            until(page, lambda many=many: text(page, "count").startswith("4 of 4") if many else text(page, "label") == "neither")
            assert page.execute_script("return document.documentElement.scrollWidth") <= width
            if folder := os.environ.get("SCREENSHOTS"):
                page.save_screenshot(f"{folder}/{name}-{width}-{scheme}.png")
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
