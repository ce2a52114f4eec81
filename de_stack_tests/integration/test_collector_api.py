"""The collector held to its own OpenAPI description, on a real broker, by schemathesis."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import httpx

from de_stack.contracts import load_stream
from de_stack.contracts.decode import decoder_for
from de_stack.contracts.envelope import REJECTED
from de_stack_tests.integration.scenes import STREAM, Scene

CONFIG = Path(__file__).with_name("schemathesis.toml")


def test_the_api_answers_as_its_description_says_and_kafka_has_what_it_said(scene: Scene) -> None:
    scene.collector()
    seed = str(random.randrange(10**6))
    url = scene.env["DE_STACK_COLLECTOR_URL"]
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"]
    done = subprocess.run(
        # A JSON Schema cannot say that a time lies between the history's start and now.
        [*command, f"{url}/openapi.json", "--seed", seed, "--max-examples", "50", "--no-color"]
        + ["--checks", "all", "--exclude-checks", "positive_data_acceptance"],
        env=scene.env
        | {"SCHEMATHESIS_HOOKS": "de_stack_tests.integration.api_hooks"}
        | {"PYTHONPATH": str(CONFIG.parents[2])},
        # It leaves what it knows in the folder where it runs.
        cwd=scene.settings.home,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    print(done.stdout[-600:])
    # What it said is true: each message is good or has its verdict, and both were counted.
    decode, records = decoder_for(load_stream(STREAM)), scene.records()
    refused = [r for r in records if REJECTED in dict(r.headers)]
    good = [r for r in records if REJECTED not in dict(r.headers)]
    assert refused
    assert good
    assert all(decode(r.value, datetime.now(UTC)).record for r in good)
    assert (len(good), len(refused)) == (scene.accepted(), scene.kept())
    names = {name for r in records for name, _ in r.headers}
    assert names <= {
        *("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"),
        REJECTED,
    }


def test_the_examples_in_the_docs_answer_as_they_say(scene: Scene) -> None:
    scene.collector()
    page = (CONFIG.parents[2] / "docs" / "collector.md").read_text(encoding="utf-8")
    parts = page.split("\n\n")
    blocks = [p.replace("\n    ", "\n").strip() for p in parts if p.startswith("    ")]
    pairs = [(a, b) for a, b in pairwise(blocks) if a.startswith("curl")]
    assert len(pairs) == page.count("    curl ") >= 5
    env = scene.env | {"COLLECTOR": scene.env["DE_STACK_COLLECTOR_URL"], "TZ": "UTC"}
    env["NOW"] = datetime.now(UTC).isoformat()
    for command, expected in pairs:
        done = subprocess.run(
            ["bash", "-c", command], env=env, capture_output=True, text=True, check=True, timeout=30
        )
        pattern = re.escape(expected).replace(re.escape("..."), '[^"]+')
        assert re.fullmatch(pattern, done.stdout), (command, done.stdout)


def test_the_page_for_people_needs_nothing_from_elsewhere(scene: Scene) -> None:
    scene.collector()
    url = scene.env["DE_STACK_COLLECTOR_URL"]
    page = httpx.get(f"{url}/docs").text
    assert "http://" not in page
    assert "https://" not in page
    for name, kind in (("swagger-ui.css", "text/css"), ("swagger-ui-bundle.js", "text/javascript")):
        found = httpx.get(f"{url}/docs/{name}")
        assert found.status_code == 200
        assert found.headers["content-type"].startswith(kind)
        assert f"docs/{name}" in page
    assert httpx.get(f"{url}/openapi.json").json()["openapi"] == "3.1.0"
    assert httpx.get(f"{url}/openapi.json?version=3.0").json()["openapi"] == "3.0.3"
