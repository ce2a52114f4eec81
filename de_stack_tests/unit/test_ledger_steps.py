"""The steps of the ledger's schema as files: one chain, and its end is what the code expects."""

from alembic.config import Config
from alembic.script import ScriptDirectory

from de_stack.flow import ledger_schema


def test_the_steps_are_one_chain_that_ends_at_the_newest() -> None:
    config = Config()
    config.set_main_option("script_location", str(ledger_schema.MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [ledger_schema.NEWEST]
    steps = [script.revision for script in scripts.walk_revisions()]
    assert steps == sorted(steps, reverse=True)
    files = {p.name for p in (ledger_schema.MIGRATIONS / "versions").glob("v*.py")}
    assert len(files) == len(steps)
