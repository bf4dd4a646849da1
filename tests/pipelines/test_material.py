"""Photos that cannot make a model."""

from pathlib import Path

import pytest
from tests.datasets.sets import write_set

from viewfinder.datasets.sources.source import read_dataset
from viewfinder.errors import DatasetError
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.pipelines.material import prepare
from viewfinder.settings import Limits


def test_a_set_that_leaves_nothing_to_measure_with_is_refused(tmp_path: Path) -> None:
    source = write_set(tmp_path / "photos", {"a": 1, "b": 1})
    with pytest.raises(DatasetError, match="no photo is left to measure"):
        prepare(
            read_dataset(source),
            PreprocessSpec(width=32, height=32),
            tmp_path / "cache",
            limits=Limits(),
            threads=1,
            seed=0,
            progress=lambda _done, _of: None,
        )
