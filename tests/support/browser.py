"""What tests do on the page in a browser."""

from __future__ import annotations

from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

WAIT_S = 30


def text(browser: webdriver.Chrome, name: str) -> str:
    return browser.find_element(By.ID, name).text


def until(browser: webdriver.Chrome, what: Any) -> None:
    WebDriverWait(browser, WAIT_S, 0.05).until(lambda _: what(), f"{browser.page_source[:3000]}")


def write(browser: webdriver.Chrome, words: str) -> None:
    field = browser.find_element(By.ID, "text")
    field.clear()
    field.send_keys(words)


def lines(browser: webdriver.Chrome, checked: bool) -> None:
    box = browser.find_element(By.ID, "lines")
    if box.is_selected() != checked:
        box.click()
