import numpy as np
import pytest

from hwgym._arrays import rows_by


@pytest.mark.parametrize("numbers", [[], [4], [7, 7, 7], [3, 1, 3, 0, 1, 3], [-1, 5, -1]])
def test_rows_by_their_number(numbers):
    numbers = np.array(numbers, np.int64)
    found = list(rows_by(numbers))
    assert [number for number, _ in found] == np.unique(numbers).tolist()
    for number, rows in found:
        np.testing.assert_array_equal(rows, np.flatnonzero(numbers == number))
