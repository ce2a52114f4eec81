"""What a query is refused for before it begins, without Spark."""

import pytest

from de_stack.failures import PermanentFailure
from de_stack.flow.continuous.running import fits
from de_stack.streaming.queries import load_queries


@pytest.mark.parametrize("name", load_queries())
def test_a_rule_whose_columns_are_not_those_of_its_sink_in_their_order_is_refused(
    name: str,
) -> None:
    query = load_queries()[name]
    first, second, *rest = query.sink.takes
    fits(query, [first, second, *rest])
    for other in ([second, first, *rest], [first, *rest], [first, second, *rest, "more"]):
        with pytest.raises(PermanentFailure, match=f"its rule gives {', '.join(other)}; its sink"):
            fits(query, other)
