"""How the unit tests run.

Belongs here: settings of hypothesis. Does not belong here: fixtures that start something.
"""

from hypothesis import settings

# A busy machine is slow, not wrong.
settings.register_profile("house", deadline=None, max_examples=60)
settings.load_profile("house")
