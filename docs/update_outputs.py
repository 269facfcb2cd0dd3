"""Write down anew what the pages' code prints: `python docs/update_outputs.py howto/optimise`.

Without names, all pages. Outputs that say `...` stay as they are: somebody has decided what of them
matters. Look at the difference before you commit it; the tests only see that page and program
agree.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]


def update(page: str) -> bool:
    """Run a page; whether its text changed."""
    import test_docs

    path = HERE / f"{page}.md"
    old = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        path.write_text(test_docs.rewritten(page), encoding="utf-8")
        os.chdir(HERE)
    return path.read_text(encoding="utf-8") != old


def main(pages: list[str]) -> None:
    import test_docs

    os.environ["COLUMNS"] = test_docs.COLUMNS
    for page in pages or test_docs.WITH_CODE:
        print(f"{page}: {'changed' if update(page) else 'as it was'}")


if __name__ == "__main__":
    main(sys.argv[1:])
