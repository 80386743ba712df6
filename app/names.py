"""Which names an account may carry. Pure: no I/O."""

from __future__ import annotations

import re

_NAME = re.compile(r"[a-z0-9_.-]{3,32}")
_SEPARATORS = re.compile(r"[_.-]")
_DIGITS_READ_AS_LETTERS = str.maketrans("537", "set")
_SYSTEM = "system"


def valid_name(name: str) -> bool:
    """Whether an account may be called so: 3 to 32 of `a-z 0-9 _ . -`, and not readable as the System sender."""
    return _NAME.fullmatch(name) is not None and not resembles_system(name)


def resembles_system(name: str) -> bool:
    """Whether a person could take the name for System, which signs the join and leave notices.

    Case, separators (`s.y.s.t.e.m`), digits for letters (`5yst3m`) and `rn` for `m` make no difference.
    """
    letters = _SEPARATORS.sub("", name.casefold()).translate(_DIGITS_READ_AS_LETTERS)
    return letters.replace("rn", "m") == _SYSTEM
