"""The last closes and the forecasts of each stock, as one small picture.

Belongs here: PNG from closes and predictions. Does not belong here: the figures, where the picture
is shown.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from de_stack.defs.stocks.core.analysis import Row, Series
from de_stack.defs.stocks.core.analysis_forecast import NAIVE

_SHOWN_DAYS = 60
# The picture is kept with the event of each run: no more stocks than can be read.
MOST_SHOWN = 12
_COLUMNS = 3


def plot(series: Sequence[Series], predicted: Sequence[Row], dpi: int = 70) -> bytes:
    """PNG: of the first `MOST_SHOWN` stocks that have a forecast, the chosen and the naive one."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    done = [row for row in predicted if row["predicted"] is not None]
    there = {row["stock_name"] for row in done}
    shown = [s for s in series if s.stock_name in there][:MOST_SHOWN]
    lines = max(1, -(-len(shown) // _COLUMNS))
    figure = Figure(figsize=(12, 2.6 * lines), layout="constrained")
    grid = figure.subplots(lines, _COLUMNS, squeeze=False).ravel()
    for axes, each in zip(grid, shown, strict=False):
        rows = [row for row in done if row["stock_name"] == each.stock_name]
        axes.plot(each.days[-_SHOWN_DAYS:], each.closes[-_SHOWN_DAYS:], color="black", lw=1)
        naive, best = [r for r in rows if r["model"] == NAIVE], [r for r in rows if r["is_chosen"]]
        axes.plot(*_columns(naive, "day", "predicted"), color="tab:orange", label=NAIVE)
        title = each.stock_name
        if best:
            axes.plot(*_columns(best, "day", "predicted"), "--", color="tab:blue", label="chosen")
            interval = _columns(best, "day", "lower_95", "upper_95")
            axes.fill_between(*interval, color="tab:blue", alpha=0.2)
            title += f": {best[0]['model']}, {best[0]['verdict']}"
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=7)
        where = AutoDateLocator(maxticks=6)
        axes.xaxis.set_major_locator(where)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(where))
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    if shown:
        grid[0].legend(fontsize=7, loc="upper left")
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=dpi, metadata={"Software": None})
    return written.getvalue()


def _columns(rows: Sequence[Row], *names: str) -> list[list[Any]]:
    return [[row[name] for row in rows] for name in names]
