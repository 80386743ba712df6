"""For administrators: what `/ops` shows. Panels are asked for by name; nothing of a query comes from a client."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from app.charts import WINDOWS
from app.prometheus import Alert
from app.routes.accounts import ADMIN_REASONS
from app.routes.gate import Administrator, Parts
from app.routes.problem import Refused, documented
from monitoring.catalogue import GROUPS, PANELS
from monitoring.panel import Group, Kind, Levels, Panel, Unit

router = APIRouter(tags=["administration"])

Name = Annotated[str, Path(examples=["refusals"])]
Window = Literal["15m", "6h", "7d"]
_PLACES: Final = ("instance", "mountpoint")


class LevelsBody(BaseModel):
    """From where a value deserves a look, and from where it is bad. Where `bad` is below `warn`, less is worse."""

    warn: float = Field(examples=[0.25])
    bad: float = Field(examples=[0.5])


class PanelBody(BaseModel):
    """One picture: its name, by which it is asked for, and what it tells."""

    name: str = Field(examples=["refusals"])
    title: str = Field(examples=["Refusals by reason"])
    tells: str = Field(examples=["Why handshakes are refused."])
    kind: Kind
    unit: Unit
    levels: LevelsBody | None


class GroupBody(BaseModel):
    """Panels that are looked at together."""

    title: str = Field(examples=["Connecting"])
    panels: list[PanelBody]


class CatalogueBody(BaseModel):
    """All panels, the windows that they can be asked for, and whether there is a Prometheus to ask."""

    groups: list[GroupBody]
    windows: list[Window]
    watched: bool = Field(description="False where the server knows of no Prometheus: then nothing has a value.")


class SeriesBody(BaseModel):
    """One line, with a value for each of the chart's times; null where there is none."""

    label: str = Field(examples=["ip_rate"])
    values: list[float | None] = Field(examples=[[0.25, None]])


class ChartBody(BaseModel):
    """A panel over a window. Times are Unix seconds, `step` seconds apart."""

    name: str = Field(examples=["refusals"])
    window: Window
    step: int = Field(examples=[15])
    times: list[int] = Field(examples=[[1767225600, 1767225615]])
    series: list[SeriesBody]
    left_out: int = Field(0, description="Series beyond the 50 that are shown; left out when there are none.")


class AlertBody(BaseModel):
    """An alert that fires, its condition since `since` (Unix seconds); `runbook` is a page of the repository."""

    name: str = Field(examples=["DatabaseDown"])
    severity: str = Field(examples=["page"])
    part: str = Field(examples=["store"])
    where: list[str] = Field(
        examples=[["db1:9100", "/var"]], description="The instance and the disk, where it is one's."
    )
    summary: str = Field(examples=["PostgreSQL does not answer"])
    runbook: str = Field(examples=["docs/operate/alerts/DatabaseDown.md"])
    since: float = Field(examples=[1767225600.0])


class AlertsBody(BaseModel):
    """The alerts that fire, the oldest first."""

    alerts: list[AlertBody]


@router.get("/api/ops/catalogue", responses=documented(*ADMIN_REASONS))
async def catalogue(backends: Parts, _who: Administrator) -> CatalogueBody:
    """Every panel there is, in groups."""
    groups = [_group(group) for group in GROUPS]
    return CatalogueBody(groups=groups, windows=[*WINDOWS], watched=backends.watch.there)


@router.get(
    "/api/ops/panels/{name}",
    responses=documented(*ADMIN_REASONS, "not_found", "invalid", "unwatched"),
    response_model_exclude_defaults=True,
)
async def panel(name: Name, window: Window, backends: Parts, _who: Administrator) -> ChartBody:
    """What a panel shows over a window; at most 5 seconds old."""
    if name not in PANELS:
        raise Refused("not_found")
    chart = await backends.watch.chart(PANELS[name], window)
    return ChartBody(
        name=name,
        window=window,
        step=chart.times.step,
        times=list(chart.times),
        series=[SeriesBody(label=one.label, values=one.values) for one in chart.series],
        left_out=chart.left_out,
    )


@router.get("/api/ops/alerts", responses=documented(*ADMIN_REASONS, "unwatched"))
async def alerts(backends: Parts, _who: Administrator) -> AlertsBody:
    """The alerts that fire; at most 5 seconds old."""
    return AlertsBody(alerts=[_alert(one) for one in await backends.watch.firing()])


def _group(group: Group) -> GroupBody:
    return GroupBody(title=group.title, panels=[_panel(one) for one in group.panels])


def _panel(one: Panel) -> PanelBody:
    return PanelBody(
        name=one.name, title=one.title, tells=one.tells, kind=one.kind, unit=one.unit, levels=_levels(one.levels)
    )


def _levels(levels: Levels | None) -> LevelsBody | None:
    return None if levels is None else LevelsBody(warn=levels.warn, bad=levels.bad)


def _alert(one: Alert) -> AlertBody:
    return AlertBody(
        name=one.labels.get("alertname", ""),
        severity=one.labels.get("severity", ""),
        part=one.labels.get("part", ""),
        where=[one.labels[label] for label in _PLACES if label in one.labels],
        summary=one.annotations.get("summary", ""),
        runbook=one.annotations.get("runbook", ""),
        since=one.active_at.timestamp(),
    )
