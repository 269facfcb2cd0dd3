"""Episode logs: what an agent did, one row an episode, in Parquet.

A log is a folder of part files. Each part is written whole and then moved into place, so a run
that is killed at any moment leaves a readable log of all but its last batch. Any Parquet reader
opens the folder as one table. One run at a time writes there: another is refused until that has
ended (:mod:`hwgym.core.log.claim`), and no two give a part the same name.

| column | type | what |
| --- | --- | --- |
| ``run_id`` | string | the same for all rows of a run |
| ``agent``, ``env_id``, ``seed`` | string, string, int64 | what ran, on what; arguments beside \
the id are in the metadata |
| ``episode``, ``sample`` | int64 | counted from 0 |
| ``genes`` | list of list of int32 | a row a step: the choice on each axis; shorter where the \
episode broke off |
| ``step_cost``, ``step_used``, ``step_valid`` | list of double, double, bool | what each of those \
steps added, where costs are separable |
| ``step_{metric}`` | list of double | and to each metric |
| ``objective``, ``used``, ``{metric}`` | double | of those steps together |
| ``return`` | double | undiscounted; null where the agent has none |
| ``feasible`` | bool | complete, valid and within budget |
| ``wall_time`` | double | seconds since the run began |

The schema's metadata holds, under the key ``hwgym``, a JSON object:

| key | what |
| --- | --- |
| ``problem`` | what identifies it, as its statement's key does |
| ``env_id``, ``env_spec`` | the environment: its id, and how to make it, as Gymnasium's \
``EnvSpec.to_json`` says it, keyword arguments included, without wrappers; of a problem that has \
no id its family's general id, with the problem's description; null where JSON cannot say it |
| ``returns`` | whose rewards ``return`` sums: the ``environment``'s, as ``env_spec`` has it, or \
the ``agent``'s, which may be others |
| ``agent``, ``seed``, ``settings`` | what ran |
| ``packages`` | their versions |
"""

from hwgym.core.log.export import to_minari
from hwgym.core.log.reading import (
    LogError,
    check_statement,
    key_of,
    read_episodes,
    read_settings,
    read_solutions,
)
from hwgym.core.log.wrappers import log_episodes
from hwgym.core.log.writing import EpisodeLog, package_versions

__all__ = [
    "EpisodeLog",
    "LogError",
    "check_statement",
    "key_of",
    "log_episodes",
    "package_versions",
    "read_episodes",
    "read_settings",
    "read_solutions",
    "to_minari",
]
