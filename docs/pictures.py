"""Takes the README's pictures of a running stack: `make pictures`.

Belongs here: which pages, what to wait for, how large. Does not belong here: starting the stack,
changing anything in it.
"""

from __future__ import annotations

import base64
import io
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
_QUERY = "{ assetNodes { assetKey { path } groupName repository { name location { name } } } }"
# Group -> width and height in which its graph is drawn, and how many pixels above it stay empty.
_GRAPHS = {"telemetry": (2000, 1500, 0), "stocks": (3600, 1900, 330)}
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


def asset_groups(url: str) -> dict[str, tuple[str, list[str]]]:
    """Group -> path of its page, last parts of the keys of its assets."""
    body = json.dumps({"query": _QUERY}).encode()
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{url}/graphql", body, {"Content-Type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        nodes: list[dict[str, Any]] = json.load(answer)["data"]["assetNodes"]
    found: dict[str, tuple[str, list[str]]] = {}
    for node in nodes:
        group, where = node["groupName"], node["repository"]
        page = f"/locations/{where['name']}@{where['location']['name']}/asset-groups/{group}"
        found.setdefault(group, (page, []))[1].append(node["assetKey"]["path"][-1])
    return found


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


def few_colours(picture: bytes) -> bytes:
    """A PNG of 128 colours: a page of text and lines needs no more, and is a third as large."""
    from PIL import Image

    written = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize(128).save(written, "png", optimize=True)
    return written.getvalue()


def save(chrome: Chrome, name: str, clip: dict[str, float] | None = None) -> None:
    """Write what is to be seen, or a part of it, to a file.

    Raises:
        PermanentFailure: it is too large for a repository.
    """
    how = {} if clip is None else {"clip": clip}
    shot = chrome.execute_cdp_cmd("Page.captureScreenshot", how)
    picture = few_colours(base64.b64decode(shot["data"]))
    file = FOLDER / f"{name}.png"
    if len(picture) > MAX_BYTES:
        raise PermanentFailure(f"save {file}", f"{len(picture)} bytes, at most {MAX_BYTES}")
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(picture)
    sys.stdout.write(f"{file}: {len(picture) // 1000} kB\n")


def graph(chrome: Chrome, url: str, group: str) -> None:
    """The graph of a domain's assets."""
    width, height, above = _GRAPHS[group]
    resize(chrome, width, height, scale=1)
    page, names = asset_groups(url)[group]
    chrome.get(f"{url}{page}")
    settle(chrome, names)
    place = {"x": 0, "y": above, "width": width, "height": height - above, "scale": 1}
    save(chrome, f"{group}-graph", place)


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
            for group in _GRAPHS:
                graph(chrome, url, group)
            statistics(chrome, url)
    except Failure as failure:
        sys.stderr.write(f"pictures: {failure}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
