"""Grafana's dashboard from the catalogue: `python -m monitoring.dashboard FILE`. Needs grafana-foundation-sdk."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as models

from monitoring.catalogue import GROUPS
from monitoring.panel import Levels, Panel, Query

UID = "portcullis"
UNITS = {
    "count": "short",
    "per_second": "cps",
    "seconds": "s",
    "bytes": "bytes",
    "bytes_per_second": "Bps",
    "share": "percentunit",
}
"""Grafana's names."""
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${source}")
"""Whichever Prometheus is chosen at the top."""
COLUMNS = 24
STAT, GRAPH = (COLUMNS // 6, 4), (COLUMNS // 3, 7)
"""Width and height."""
GOOD, WARN, BAD = "green", "orange", "red"
AREA, PLAIN = options.BigValueGraphMode.AREA, options.BigValueColorMode.NONE


def thresholds(levels: Levels) -> Any:
    """Colours from below upwards."""
    if levels.bad < levels.warn:
        steps = [(None, BAD), (levels.bad, WARN), (levels.warn, GOOD)]
    else:
        steps = [(None, GOOD), *([(levels.warn, WARN)] if levels.warn < levels.bad else []), (levels.bad, BAD)]
    one = dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE)
    return one.steps([models.Threshold(value=value, color=color) for value, color in steps])


def target(index: int, query: Query) -> Any:
    """One query; Grafana knows a good window for the resolution it draws in."""
    legend = re.sub(r"\{(\w+)\}", r"{{\1}}", query.legend)
    one = prometheus.Dataquery().ref_id(chr(ord("A") + index)).expr(query.over("$__rate_interval")).range()
    return one.legend_format(legend or "__auto")


def drawn(panel: Panel) -> Any:
    """One picture."""
    one = number(panel) if panel.kind == "stat" else graph(panel)
    width, height = STAT if panel.kind == "stat" else GRAPH
    one.title(panel.title).description(panel.tells).unit(UNITS[panel.unit]).datasource(SOURCE)
    one.span(width).height(height).no_value("none")
    if panel.levels:
        one.thresholds(thresholds(panel.levels))
    for index, query in enumerate(panel.queries):
        one.with_target(target(index, query))
    return one


def number(panel: Panel) -> Any:
    """The newest value, and which one where there are several."""
    several = any(query.legend for query in panel.queries)
    one = stat.Panel().reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"])).graph_mode(AREA)
    mode = options.BigValueTextMode.VALUE_AND_NAME if several else options.BigValueTextMode.VALUE
    return one.text_mode(mode).color_mode(options.BigValueColorMode.VALUE if panel.levels else PLAIN)


def graph(panel: Panel) -> Any:
    """Lines over time, calm: thin, no points, a little colour below."""
    one = timeseries.Panel().line_width(1).fill_opacity(10).show_points(options.VisibilityMode.NEVER).min(0)
    if panel.kind == "stacked":
        one.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL)).fill_opacity(40)
    elif panel.levels:
        one.thresholds_style(common.GraphThresholdsStyleConfig().mode(options.GraphTresholdsStyleMode.DASHED))
    below = common.VizLegendOptions().display_mode(options.LegendDisplayMode.LIST)
    one.legend(below.placement(options.LegendPlacement.BOTTOM).show_legend(True))
    return one.tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI))


def built() -> Any:
    """The whole dashboard."""
    one = (
        dashboard.Dashboard("Portcullis").uid(UID).tags([UID]).refresh("15s").time("now-1h", "now").timezone("browser")
    )
    one.tooltip(models.DashboardCursorSync.CROSSHAIR).editable()
    one.with_variable(dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus"))
    ids = itertools.count(1)
    for group in GROUPS:
        one.with_row(dashboard.Row(group.title).id(next(ids)))
        for panel in group.panels:
            one.with_panel(drawn(panel).id(next(ids)))
    return one.build()


def main() -> None:
    """Write it to the file that is named."""
    Path(sys.argv[1]).write_text(JSONEncoder(sort_keys=True, indent=1).encode(built()) + "\n")


if __name__ == "__main__":
    main()
