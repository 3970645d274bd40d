"""A run of a store is known by the ETags of its inputs, as their content would be fetched twice, and is made again."""

from pathlib import Path

import pytest
import serve
import toy

import datapipe
from datapipe import storage
from datapipe.recipe import read_recipe


def test_a_run_of_a_store_is_made_again_there_and_on_a_disk(
    store: serve.Store, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.install(tmp_path / "site", "toy", {"lines": "toy:Lines", "short": "toy:Short"})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    texts = toy.write_lines(tmp_path / "texts").parent
    for path in texts.iterdir():
        storage.put(f"{folder}/in/{path.name}", path.read_bytes())
    steps = [{"lines": {"path": f"{folder}/in/*.txt"}}, "short"]
    datapipe.run({"name": "toy", "steps": steps}, out=f"{folder}/out", executor="local")

    there = datapipe.reproduce(f"{folder}/out", executor="local")
    here = datapipe.reproduce(f"{folder}/out", inputs=[f"{folder}/in={texts}"], check_only=True)
    storage.put(f"{folder}/in/1.txt", (texts / "1.txt").read_bytes().replace(b"n1-", b"x1-"))
    changed = datapipe.reproduce(f"{folder}/out", check_only=True)

    recipe = read_recipe(f"{folder}/out")
    assert recipe is not None
    assert {file.sha256 for file in recipe.inputs["lines"]} == {None}
    assert (there.equal, there.before, there.unknown) == (True, (), 0)
    assert (here.equal, here.before, here.unknown) == (True, (), 3), "an ETag is compared with none but an ETag"
    assert [one.name for one in changed.before] == ["lines: 1.txt"]
