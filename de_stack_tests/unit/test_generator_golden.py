"""Same seed, same clock: the same bytes, in every interpreter. The sums are committed.

A sum that changes here means that runs of earlier versions cannot be repeated: say so in the
changelog. Faker is pinned for this reason.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from de_stack_tests.services import REPOSITORY

EXAMPLES = REPOSITORY / "docs" / "examples" / "generator"
# Ids, times, messages, keys and faults, as they would go out.
EVENTS = """
import hashlib, sys
from datetime import datetime, timezone
from pathlib import Path
from de_stack.settings import Settings
from de_stack.sources.generator.job import Wish, prepare
from de_stack.sources.generator.stamps import FixedStamps

start = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
faults = {kind: "0.05" for kind in ("late", "duplicate", "malformed", "out_of_order", "future")}
config = Path(sys.argv[1]) if sys.argv[1] else None
# A number of its own: what the examples say differs.
wish = Wish(config=config, seed="golden", start=start, rate=333, sink="console", faults=faults)
job = prepare(Settings(), wish, start, lambda *_: None)
stamps, digest, sent = FixedStamps(start, job.rate), hashlib.sha256(), 0
for size in [1, 7, 92, 1900]:
    for e in job.faulty.batch(stamps.take(size)):
        digest.update(repr(tuple(e)[:6]).encode() + b"\\n"); sent += 1
for e in job.faulty.drain():
    digest.update(repr(tuple(e)[:6]).encode() + b"\\n"); sent += 1
print(sent, digest.hexdigest())
"""


def run(home: Path, hash_seed: str, *command: str) -> str:
    """Standard output of a fresh interpreter."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("DE_STACK")}
    env |= {"PYTHONHASHSEED": hash_seed, "DE_STACK_HOME": str(home), "TZ": "Australia/Sydney"}
    done = subprocess.run([sys.executable, *command], env=env, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


@pytest.mark.parametrize(
    ("name", "golden"),
    [
        ("", "2093 dbb862b0e6dcdc336c3bb6763209bbaa11eb741b08fc2b3e2b224dbe59613d99"),
        ("presses.yaml", "2093 5edf92fa86c70fd7524cbb5d4746a5050e1fab33166baedac936783112800ed8"),
        (
            "greenhouse.yaml",
            "2093 4ab2f39f20a07299fac952324e038852cbd9769db85c12505e0f42bc03923f16",
        ),
        ("original.yaml", "2093 638cb7a880f3318af0c9c8d0e54b96a591b7e3008ea84c9bf6311b5a1f150bb6"),
        (
            "original_older.yaml",
            "2093 7b9b55dbde1b96204d1e401fb85896f549c08d0b3be1c8d261b878db82906ef3",
        ),
    ],
)
def test_values_ids_keys_and_faults_are_the_committed_ones_in_every_interpreter(
    tmp_path: Path, name: str, golden: str
) -> None:
    config = str(EXAMPLES / name) if name else ""
    assert {run(tmp_path, seed, "-c", EVENTS, config) for seed in ("1", "2")} == {golden}


def test_the_command_writes_the_committed_bytes_however_fast_it_runs(tmp_path: Path) -> None:
    program = ["-c", "from de_stack.cli import main; main()", "generate", "--count", "400"]
    wish = ["--seed", "golden", "--start", "2026-03-01T12:00:00Z", "--rate", "1000"]
    faults = ["--late", "0.1:3600", "--duplicate", "0.1", "--malformed", "0.1"]
    for out, more in (("paced", []), ("fast", ["--fast"])):
        run(tmp_path, "3", *program, *wish, *faults, *more, "--out", str(tmp_path / out))
    paced, fast = ((tmp_path / out).read_bytes() for out in ("paced", "fast"))
    assert paced == fast
    assert hashlib.sha256(fast).hexdigest() == (
        "d5382852430cbd67d31e22ef957326c6e58fd3956d8e4dbb5f66e254355171b6"
    )
