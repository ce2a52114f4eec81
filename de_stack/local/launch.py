"""Becomes a service: reads `<spec>.json`, sets environment, account and folder, and `exec`s.

Belongs here: the last step before a service's own code, free of imports outside the standard
library (it is run by path, without site-packages). Does not belong here: what the services are.

The supervisor's configuration has no way to remove a variable or to quote every path; this has.
"""

# First of all: who is stopped while it imports says nothing, instead of twenty lines at the end of
# its log in the place of why it had ended before. (`signal` itself takes an import that long.)
import _signal  # type: ignore[import-not-found]

_signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import json  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402


def main() -> None:
    """Run the spec named in argv[1]; argv[2], its digest, is for the supervisor to compare."""
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123
        spec = json.load(file)
    dropped = set(spec["unset"])
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in dropped and not name.startswith("SUPERVISOR_")
    }
    # Start-up is mostly imports: without byte code beside the sources every process compiles all
    # of them again (`import dagster` took 1.5 s instead of 0.65).
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env.update(spec["env"])
    if spec["user"]:
        import pwd

        account = pwd.getpwnam(spec["user"])
        env["HOME"] = spec["cwd"]
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    os.chdir(spec["cwd"])
    # A shell hands an ignored SIGINT on to what it starts with `&`, and Dagster does to SIGTERM
    # what it finds for SIGINT: it could not be stopped.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o077)
    os.execvpe(spec["argv"][0], spec["argv"], env)  # noqa: S606


if __name__ == "__main__":
    main()
