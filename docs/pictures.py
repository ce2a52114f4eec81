"""Takes the README's pictures of a running stack: `make pictures`.

Belongs here: which pages, what to wait for, how large. Does not belong here: starting the stack,
changing anything in it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from de_stack.failures import Failure, PermanentFailure, TransientFailure
from de_stack.settings import Settings

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

FOLDER = Path(__file__).parent / "pictures"
MAX_BYTES = 300_000
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-proxy-server", "--lang=en-US"),
)
_QUERY = "{ assetNodes { assetKey { path } } }"
_SPINNER = "//*[contains(text(), 'Materializing') or contains(text(), 'Starting')]"
# Written before the application starts: what a user would set by hand, once.
_PREFERENCES = {"asset-graph-direction": '"vertical"', "dagster-nav-collapsed": "true"}


@contextmanager
def browser() -> Iterator[Chrome]:
    """A headless Chromium whose clock is UTC.

    Raises:
        PermanentFailure: Chromium or its driver is not installed.
    """
    # Selenium would look for a newer driver in the network.
    os.environ |= {"SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if not all(programs):
        fix = "`sudo apt-get install chromium chromium-driver`"
        raise PermanentFailure("find chromium and chromedriver", "not installed", fix)
    options = ChromeOptions()
    options.binary_location = str(programs[0])
    for flag in _FLAGS:
        options.add_argument(flag)
    chrome = Chrome(options=options, service=Service(str(programs[1])))
    try:
        chrome.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "UTC"})
        script = "".join(
            f"localStorage.setItem({json.dumps(k)}, {json.dumps(v)});"
            for k, v in _PREFERENCES.items()
        )
        chrome.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        yield chrome
    finally:
        chrome.quit()


def asset_names(url: str) -> list[str]:
    """Last parts of the keys of all assets that the UI knows."""
    body = json.dumps({"query": _QUERY}).encode()
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{url}/graphql", body, {"Content-Type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)["data"]
    return [node["assetKey"]["path"][-1] for node in found["assetNodes"]]


def settle(chrome: Chrome, words: list[str], seconds: float = 90) -> None:
    """Until every word has been on the page for three seconds, in which the rest is drawn.

    A run that is under way puts spinners where numbers were: its end is waited for, too, but no
    longer than the demo may go on without a pause.

    Raises:
        TransientFailure: a word is not on the page.
    """
    from selenium.webdriver.common.by import By

    end, since, text = time.monotonic() + seconds, None, ""
    while time.monotonic() < end:
        text = chrome.find_element(By.TAG_NAME, "body").text
        spins = chrome.find_elements(By.XPATH, _SPINNER)
        if spins or not all(word in text for word in words):
            since = None
        elif since is None:
            since = time.monotonic()
        elif time.monotonic() - since > 3:
            return
        time.sleep(0.2)
    if missing := [word for word in words if word not in text]:
        raise TransientFailure(f"show {chrome.current_url}", f"not on the page: {missing}")


def resize(chrome: Chrome, width: int, height: int, scale: float = 1.5) -> None:
    """Give the page a size; each of its pixels becomes scale x scale of the picture."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def save(chrome: Chrome, name: str) -> None:
    """Write what is to be seen to a file.

    Raises:
        PermanentFailure: it is too large for a repository.
    """
    picture = chrome.get_screenshot_as_png()
    file = FOLDER / f"{name}.png"
    if len(picture) > MAX_BYTES:
        raise PermanentFailure(f"save {file}", f"{len(picture)} bytes, at most {MAX_BYTES}")
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(picture)
    sys.stdout.write(f"{file}: {len(picture) // 1000} kB\n")


def graph(chrome: Chrome, url: str) -> None:
    """The graph of all assets."""
    from selenium.webdriver.common.by import By

    resize(chrome, 2100, 1500, scale=1)
    chrome.get(f"{url}/asset-groups")
    names = asset_names(url)
    settle(chrome, names)
    # The graph is not fitted anew when the panel goes: its place is cut off instead.
    chrome.find_element(By.XPATH, "//button[*[@aria-label='panel_show_right']]").click()
    resize(chrome, 1760, 1500, scale=1)
    settle(chrome, names)
    save(chrome, "asset-graph")


def statistics(chrome: Chrome, url: str) -> None:
    """The catalogue's page of the statistics."""
    resize(chrome, 1300, 1050)
    chrome.get(f"{url}/assets/telemetry/stats_measures")
    settle(chrome, ["stats_measures", "Row count", "p99", "window_start"])
    save(chrome, "stats-measures")


def main() -> int:
    """Take all pictures."""
    try:
        url = Settings().need("webserver_url")
        with browser() as chrome:
            graph(chrome, url)
            statistics(chrome, url)
    except Failure as failure:
        sys.stderr.write(f"pictures: {failure}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
