"""The page of models that are not like the one that ships, in a real browser."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
import requests
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.support.browser import lines, text, until, write
from tests.support.functions import start, wait_until_ready
from tests.support.optional import needs_program
from tests.support.servers import SpawnAgent
from tests.support.smallmodel import write_small_model
from vaccel_common.modelfile import Pairs

pytestmark = [
    pytest.mark.e2e,
    needs_program("chromedriver", "chromium chromium-driver"),
]


@pytest.mark.parametrize(("pairs", "shown"), [("allowed", "Second text (optional)"), ("required", "Second text")])
def test_a_model_of_pairs_has_a_second_box(
    browser: webdriver.Chrome, spawn_agent: SpawnAgent, tmp_path: Path, pairs: Pairs, shown: str
) -> None:
    """Its text goes with the first one, and with each line; where a model needs it the page asks for it, by its name there."""
    model = write_small_model(tmp_path / "pairs.pt", pairs)
    agent = spawn_agent("--models", str(tmp_path), "--preload", "pairs")
    server = start(tmp_path, agent.addresses["unix"], MODEL=str(model))
    try:
        wait_until_ready(server)
        browser.get(server.addresses["http"] + "/")
        until(browser, lambda: browser.find_element(By.ID, "second").is_displayed())
        assert browser.find_element(By.CSS_SELECTOR, "#second label").text == shown
        write(browser, "the tea was cold")
        second = browser.find_element(By.ID, "pair")
        second.send_keys("we were late")
        second.send_keys(Keys.CONTROL, Keys.ENTER)
        until(browser, lambda: text(browser, "label") != "")
        answer = requests.post(
            server.addresses["http"] + "/classify", json={"text": "the tea was cold", "text_pair": "we were late"}, timeout=10
        ).json()
        assert text(browser, "label") == answer["label"]
        assert f"Tokens\n{answer['tokens']}" in text(browser, "facts")
        if folder := os.environ.get("SCREENSHOTS"):
            browser.save_screenshot(f"{folder}/pairs-{pairs}.png")
        browser.execute_script("document.getElementById('text').value = 'one\\ntwo'")
        lines(browser, True)
        browser.find_element(By.ID, "go").click()
        until(browser, lambda: text(browser, "count").startswith("2 of 2"))
        (browser.downloads / "predictions.csv").unlink(missing_ok=True)  # type: ignore[attr-defined]
        browser.find_element(By.ID, "csv").click()
        file: Path = browser.downloads / "predictions.csv"  # type: ignore[attr-defined]
        until(browser, file.exists)
        with file.open(newline="") as opened:
            assert [(row["text"], row["text_pair"]) for row in csv.DictReader(opened)] == [
                ("one", "we were late"),
                ("two", "we were late"),
            ]
        browser.execute_script("document.getElementById('pair').value = '\\u200b'")
        browser.find_element(By.ID, "go").click()
        until(browser, lambda: "the second text is empty: 1 character" in text(browser, "rows"))
        second.clear()
        lines(browser, False)
        browser.find_element(By.ID, "go").click()
        if pairs == "required":
            until(browser, lambda: text(browser, "error") == "Fill in the second text: this model takes pairs of texts.")
        else:
            until(browser, lambda: text(browser, "label") != "")
    finally:
        browser.get("about:blank")
        browser.get_log("browser")
        server.stop()


def test_a_regression_has_plain_numbers(browser: webdriver.Chrome, spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Neither a percentage nor a bar, wherever its number lies; the scores are those that the function answers with."""
    model = write_small_model(tmp_path / "plain.pt", problem_type="regression")
    agent = spawn_agent("--models", str(tmp_path), "--preload", "plain")
    server = start(tmp_path, agent.addresses["unix"], MODEL=str(model))
    try:
        wait_until_ready(server)
        browser.get(server.addresses["http"] + "/")
        until(browser, lambda: text(browser, "ready") == "Ready")
        write(browser, "tea")
        browser.find_element(By.ID, "go").click()
        until(browser, lambda: text(browser, "label") != "")
        scores = requests.post(server.addresses["http"] + "/classify", json={"text": "tea"}, timeout=10).json()["scores"]
        shown = [bar.text.split("\n")[-1] for bar in browser.find_elements(By.CSS_SELECTOR, ".bar")]
        assert [float(number) for number in shown] == pytest.approx(list(scores.values()), rel=1e-4)
        assert not browser.find_elements(By.TAG_NAME, "meter")
        lines(browser, True)
        browser.find_element(By.ID, "go").click()
        until(browser, lambda: text(browser, "count").startswith("1 of 1"))
        assert "%" not in text(browser, "rows")
        if folder := os.environ.get("SCREENSHOTS"):
            browser.save_screenshot(f"{folder}/regression.png")
    finally:
        browser.get("about:blank")
        browser.get_log("browser")
        server.stop()
