"""Sphinx settings of the documentation: `make docs`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

from hwgym import __version__  # noqa: E402

project = "hwgym"
author = "The hwgym authors"
project_copyright = author
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "docstrings",
    "generated",
    "mathml",
    "sources",
]
exclude_patterns = ["_generated/*.part.md", "_ext"]
nitpicky = True  # every name in a docstring must lead somewhere
nitpick_ignore_regex = [
    # What is other packages', and aliases of types that are nobody's to look up.
    (r"py:.*", r"(np|numpy|npt|gym|gymnasium|torch|nn|pd|pandas|matplotlib|onnx|plotly)(\..*)?"),
    (r"py:.*", r"(stable_baselines3|sb3_contrib|collections|os|pathlib|typing|abc)(\..*)?"),
    (r"py:class", r"(ArrayLike|Figure|Path|dict\[str)"),
    (r"py:class", r"(Array|Bools|Floats|Ints|Observations|Row|SingleEpisode)"),
    (r"py:class", r"hwgym\..*\.(D|Deployment|LayerDesign|Method)"),
    # Tables of a module's own, and what a class says among its attributes.
    (r"py:data", r"(.*\.)?(ACCOUNTINGS|DATAFLOWS|OBJECTIVES|REWARDS|STYLE|TECHNOLOGIES|TOO_MANY)"),
    (r"py:data", r"(.*\.)?(CLUSTERED|LIMIT|MIXES|MOST_CYCLES)"),
    (r"py:attr", r"statement"),
    (r"py:mod", r"hwgym\.plotting\.picture"),
]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "attrs_inline"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 80
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
copybutton_exclude = ".linenos, .gp, .go"
copybutton_selector = "div:not(.highlight-output) > div.highlight > pre"

html_theme = "furo"
html_title = "hwgym"
html_static_path = ["_static"]
html_css_files = ["hwgym.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_math_renderer = "mathml"
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
