"""The one exception that is meant for the person at the keyboard."""

from __future__ import annotations


class Problem(Exception):  # noqa: N818 - it is shown as a sentence, not as an error
    """Something the person must know or do. The message is complete sentences and says what to do next."""
