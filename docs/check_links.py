"""Check a built site, without network: `python docs/check_links.py build/docs`.

Every link and file within the site must exist, with its anchor; nothing that a page needs may come
from elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

NEEDED = {("img", "src"), ("script", "src"), ("link", "href"), ("source", "src"), ("iframe", "src")}
"""What a browser loads by itself."""


class Page(HTMLParser):
    """The links and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[tuple[str, str, str]] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.links.append((tag, name, value))
            elif value and name in ("id", "name"):
                self.anchors.add(value)


@cache
def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def broken(site: Path) -> Iterator[str]:
    """A line for every link that leads nowhere."""
    for path in sorted(site.rglob("*.html")):
        for tag, name, link in read(path).links:
            url = urlsplit(link)
            where = f"{path.relative_to(site)}: {link}"
            if url.scheme in ("http", "https", "mailto", "data") or url.netloc:
                if (tag, name) in NEEDED and url.scheme != "data":
                    yield f"{where} is loaded from elsewhere"
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            if target.is_dir():
                target = target / "index.html"
            if not target.is_file():
                yield f"{where}: there is no such file"
            elif target.suffix != ".html" or not url.fragment:
                continue
            elif unquote(url.fragment) not in read(target).anchors:
                yield f"{where}: there is no such anchor"


def main(folder: str) -> int:
    """Print what is broken; 1 if anything is."""
    site = Path(folder).resolve()
    pages = list(site.rglob("*.html"))
    if not pages:
        print(f"{folder}: no pages")
        return 1
    lines = list(broken(site))
    print("\n".join([*lines, f"{len(pages)} pages, {len(lines)} broken links"]))
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
