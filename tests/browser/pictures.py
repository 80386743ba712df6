"""Screenshots for people to look at, in both colour schemes."""

from __future__ import annotations

from pathlib import Path

from tests.browser.contrast import CONTRAST
from tests.browser.person import Person

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {
    "viewport": {"width": 390, "height": 780},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
INK = {"light": "rgb(28, 33, 38)", "dark": "rgb(232, 229, 222)"}
"""The page's text colour, from which a test sees that a scheme is on the screen."""


def take(person: Person, folder: Path, name: str) -> None:
    """What the person sees now, in light and in dark: all text stands out (WCAG 2.2 §1.4.3), and nothing is cut off."""
    for scheme in ("light", "dark"):
        person.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        person.until(f"getComputedStyle(document.body).color === '{INK[scheme]}'")
        person.page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        person.page.screenshot(path=folder / f"{name}-{scheme}.png")
        assert person.page.evaluate(CONTRAST) == []
    assert person.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
