"""What workers would miss is told before anything starts, and why a cell failed as soon as it has."""

from collections.abc import Callable
from typing import Any

import pytest

from benchmark.sweep.cell import CellError
from benchmark.sweep.driver import Progress, _why

New = Callable[..., Any]


@pytest.mark.parametrize("alone", ["all of it", "the address"])
def test_a_remote_that_workers_do_not_see_is_refused_before_anything_starts(new_repository: New, alone: str) -> None:
    repository = new_repository()
    with repository.configuring() as config:
        del config["remote"]["shared"]
        if alone == "all of it":
            del config["core"]["remote"]
    with repository.configuring("local") as config:
        config["remote"]["shared"] = {"url": str(repository.remote)}
        if alone == "all of it":
            config["core"]["remote"] = "shared"
    repository.commit()
    key = "core.remote" if alone == "all of it" else "remote.shared.url"
    assert f"error: .dvc/config.local: {key} stands there alone, and no worker sees that file" in repository.refused()
    assert repository.started() == []
    assert not repository.clones.exists()


def test_a_failed_cell_tells_its_last_line_as_it_fails() -> None:
    progress = Progress(1)
    told = _why("raw@movie", CellError("raw@movie: dvc repro ended with 255: ERROR: no such remote"), progress)
    assert told == "failed: dvc repro ended with 255: ERROR: no such remote"
