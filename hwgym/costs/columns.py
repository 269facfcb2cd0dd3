"""Columns: what every answer of a cost model is, a struct of arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from hwgym._arrays import Array
from hwgym._extras import naming

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Columns"]


@dataclass(frozen=True)
class Columns:
    """A dataclass whose fields are arrays of one shape; a subclass says which."""

    def as_dict(self) -> dict[str, Array]:
        """All fields by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def to_frame(self) -> pd.DataFrame:
        """A pandas frame, a column a field and a row a point, in C order."""
        with naming():
            import pandas as pd

        return pd.DataFrame({name: np.ravel(values) for name, values in self.as_dict().items()})
