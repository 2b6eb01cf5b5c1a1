"""The page: one file without references to anywhere else, and the policy that holds it to that."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from worker import __version__
from worker.serve.uploads import UploadLimits


@dataclass(frozen=True, slots=True)
class Page:
    """HTML, and the Content-Security-Policy that lets exactly its own style and script work."""

    html: bytes
    policy: str
    etag: str


def make_page(limits: UploadLimits, collection: str) -> Page:
    """The page, made once: it is the same for everyone."""
    style, script = _part("page.css"), _part("page.js")
    environment = Environment(
        loader=PackageLoader("worker.serve", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    # Both are files of this package: marked as safe, so that the engine does not escape their quotes.
    text = environment.get_template("page.html.j2").render(
        style=Markup(style),  # noqa: S704  # nosec B704
        script=Markup(script),  # noqa: S704  # nosec B704
        limits=limits,
        collection=collection,
        version=__version__,
    )
    html = text.encode()
    policy = (
        f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}; img-src 'self' data: blob:; "
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    return Page(html, policy, f'"{hashlib.sha256(html).hexdigest()[:32]}"')


def _part(name: str) -> str:
    return (resources.files("worker.serve") / "templates" / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """How a policy names an inline style or script: by its hash."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
