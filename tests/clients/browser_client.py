"""The chat page in headless Chromium: streams, stops, settings, keyboard, light and dark. Screenshots go to target/clients/.

    needs: selenium==4.36.0
"""

import os
import shutil
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

URL = os.environ["TUTELAGE_URL"]
chromium, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
if not (chromium and driver_path):
    print("chromium and chromedriver are not here (Debian: chromium, chromium-driver)")
    sys.exit(77)

profile = tempfile.mkdtemp()
options = webdriver.ChromeOptions()
options.binary_location = chromium
for flag in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
             f"--user-data-dir={profile}", "--window-size=1200,800"]:
    options.add_argument(flag)
options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_path))
wait = WebDriverWait(driver, 60)
at = lambda name: driver.find_element(By.ID, name)
answers = lambda: driver.find_elements(By.CSS_SELECTOR, "li.assistant")
shots = Path("target/clients")


def ask(text):
    at("prompt").send_keys(text)
    at("prompt").send_keys(Keys.ENTER)


def note(of):
    return of.find_element(By.CSS_SELECTOR, ".note").text


def text(of):
    return of.find_element(By.CSS_SELECTOR, ".text").text


def metric(name):
    lines = urllib.request.urlopen(f"{URL}/metrics").read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def put(name, value):
    at(name).clear()
    at(name).send_keys(value, Keys.TAB)


try:
    driver.get(URL)
    wait.until(lambda _: Select(at("model")).options)
    assert Select(at("model")).first_selected_option.text == "smollm2"
    assert driver.switch_to.active_element.get_attribute("id") == "prompt", "one can type at once"
    driver.save_screenshot(str(shots / "page-empty.png"))

    # An answer, by the keyboard alone.
    put("temperature", "0")
    at("prompt").click()
    ask("What is the capital of France?")
    wait.until(lambda _: answers() and "tokens" in note(answers()[0]))
    assert "Paris" in text(answers()[0]), text(answers()[0])

    # The chat goes on, and what is markup stays text.
    at("prompt").send_keys("Say <b>hello</b>", Keys.SHIFT, Keys.ENTER, Keys.NULL)
    ask("please.")
    wait.until(lambda _: len(answers()) == 2 and "tokens" in note(answers()[1]))
    mine = driver.find_elements(By.CSS_SELECTOR, "li.user")[1]
    assert text(mine) == "Say <b>hello</b>\nplease.", text(mine)
    assert not driver.find_elements(By.CSS_SELECTOR, "#messages b")
    driver.save_screenshot(str(shots / "page-light.png"))

    # A long answer comes in parts, and stops: by Escape, then by the button.
    put("max_tokens", "4000")
    put("repetition_penalty", "1.3")
    for stop in [lambda: driver.switch_to.active_element.send_keys(Keys.ESCAPE), lambda: at("send").click()]:
        n = len(answers())
        ask("Write a very long story about every animal that you know.")
        wait.until(lambda _: len(answers()) == n + 1 and len(text(answers()[n])) > 20)
        before = text(answers()[n])
        wait.until(lambda _: len(text(answers()[n])) > len(before) + 20)
        assert at("send").text == "Stop" and note(answers()[n]) == ""
        stop()
        wait.until(lambda _: note(answers()[n]) == "stopped" and at("send").text == "Send")
        begun = time.time()
        while metric("tutelage_running") > 0:
            assert time.time() - begun < 10, "the server goes on writing for nobody"

    # A wrong setting is said, and the question comes back.
    put("top_p", "7")
    at("prompt").click()
    ask("And now?")
    wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, "li.wrong"))
    assert "top_p" in text(driver.find_element(By.CSS_SELECTOR, "li.wrong"))
    assert at("prompt").get_attribute("value") == "And now?"
    put("top_p", "0.9")

    # Dark, and remembered; settings too.
    back = lambda: driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    light = back()
    at("theme").click()
    assert back() != light
    driver.save_screenshot(str(shots / "page-dark.png"))
    dark = back()
    driver.refresh()
    wait.until(lambda _: Select(at("model")).options)
    assert back() == dark and at("top_p").get_attribute("value") == "0.9"

    # A narrow window; the settings fold away.
    driver.set_window_size(420, 800)
    driver.refresh()
    wait.until(lambda _: Select(at("model")).options)
    assert not at("settings").is_displayed()
    at("toggle").click()
    assert at("settings").is_displayed() and at("toggle").get_attribute("aria-expanded") == "true"
    at("toggle").click()
    wide = driver.execute_script("return document.documentElement.scrollWidth > innerWidth")
    assert not wide, "nothing is beyond the window's edge"
    ask("Hello")
    wait.until(lambda _: answers() and len(text(answers()[0])) > 5)
    if at("send").text == "Stop":
        at("send").click()
    wait.until(lambda _: note(answers()[0]))
    driver.save_screenshot(str(shots / "page-narrow.png"))
    at("fresh").click()
    assert not answers() and at("empty").is_displayed()

    errors = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE" and "400" not in entry["message"]]
    assert not errors, errors
    print("browser: the page streams, stops, keeps settings, in light and dark and in a narrow window")
finally:
    driver.quit()
    shutil.rmtree(profile, ignore_errors=True)
