"""The pages: a handful of static files, read once at start."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response

_FOLDER: Final = Path(__file__).parent.parent / "web"
_PAGES: Final = {"/": "index.html", "/ops": "ops.html"}


class _File:
    def __init__(self, path: Path) -> None:
        self.body = path.read_bytes()
        self.media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self.etag = f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'

    def answer(self, request: Request) -> Response:
        """The file, or 304 when the client has it already (RFC 9110 §13.1.2)."""
        headers = {"etag": self.etag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == self.etag:
            return Response(status_code=304, headers=headers)
        return Response(self.body, media_type=self.media_type, headers=headers)


def router() -> APIRouter:
    """`/`, `/ops` and `/web/…`."""
    files = {path.relative_to(_FOLDER).as_posix(): _File(path) for path in _FOLDER.rglob("*") if path.is_file()}
    page = APIRouter(include_in_schema=False)

    for name, file in files.items():
        page.add_api_route(f"/web/{name}", file.answer, methods=["GET"])
    for path, name in _PAGES.items():
        page.add_api_route(path, files[name].answer, methods=["GET"])
    page.add_api_route("/favicon.ico", _no_icon, methods=["GET"])
    return page


def _no_icon() -> Response:
    """Browsers ask for it even though the page names its own icon."""
    return Response(status_code=204, headers={"cache-control": "max-age=86400"})
