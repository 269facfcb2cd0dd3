"""What is told of installed agents; agents of somebody else's."""

from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from hwgym.core import agent_names, agents, describe_agents, find_agent


@dataclass
class Sure:
    """Takes the first choice
    everywhere. Always.

    A second paragraph.
    """

    sees: ClassVar[str] = "totals"
    times: int = 3
    """How often;
    once would do."""
    names: list = field(default_factory=lambda: ["a"])
    must: int = field(kw_only=True)
    """There is no default."""

    def search(self, evaluator, seed):
        """Nothing."""


@dataclass
class Surer(Sure):
    """Twice as sure"""

    times: int = 6
    more: float = 0.5
    """Of it."""


class Plain:
    def search(self, evaluator, seed):
        """Nothing."""


@pytest.fixture
def installed(monkeypatch):
    """Agents of another package, one of which misses something."""

    class Point:
        def __init__(self, name, load):
            self.name, self.load = name, load

    def missing():
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    points = [
        Point("sure", lambda: Sure),
        Point("surer", lambda: Surer),
        Point("plain", lambda: Plain),
        Point("heavy", missing),
    ]
    asked = []

    def entry_points(group):
        asked.append(group)
        return points

    monkeypatch.setattr(agents, "entry_points", entry_points)
    agents._classes.cache_clear()
    yield asked
    agents._classes.cache_clear()


def test_agents_are_found_by_name(installed):
    assert agent_names() == ("heavy", "plain", "sure", "surer")
    assert installed == ["hwgym.agents"]
    assert find_agent("sure") is Sure
    with pytest.raises(ValueError, match="unknown agent 'shure'; did you mean 'sure'"):
        find_agent("shure")
    with pytest.raises(ImportError, match=r"hwgym\[agents\]"):
        find_agent("heavy")


def test_what_agents_are(installed):
    found = {each["agent"]: each for each in describe_agents()}
    assert list(found) == ["heavy", "plain", "sure", "surer"]
    assert found["sure"] == {
        "agent": "sure",
        "about": "Takes the first choice everywhere",
        "sees": "totals",
        "settings": {"times": 3, "names": ["a"], "must": None},
        "settings_about": {
            "times": "How often; once would do.",
            "names": "",
            "must": "There is no default.",
        },
    }
    assert found["surer"]["about"] == "Twice as sure"
    assert found["surer"]["settings"] == {"times": 6, "names": ["a"], "must": None, "more": 0.5}
    assert found["surer"]["settings_about"]["must"] == "There is no default."
    assert found["surer"]["settings_about"]["more"] == "Of it."
    assert found["plain"] == {
        "agent": "plain", "about": "", "sees": None, "settings": {}, "settings_about": {},
    }  # fmt: skip
    assert set(found["heavy"]) == {"agent", "missing"}
    assert "hwgym[agents]" in found["heavy"]["missing"]
    assert [each["agent"] for each in describe_agents(["surer"])] == ["surer"]
    with pytest.raises(ValueError, match="unknown agent"):
        describe_agents(["nobody"])
