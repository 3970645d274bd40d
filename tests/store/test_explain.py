"""What is shown and explained of a run in a store is what is told of it on a disk."""

from pathlib import Path

from datapipe import storage
from stages.audit.explain import explained
from stages.audit.show import found_in
from stages.audit.story import Finder
from tests.stages.audit.folders import key, placed, written
from tests.stages.audit.test_show import KEPT, LEDGER, RULES, SIGNALS


def test_a_store_tells_what_a_disk_tells(folder: str, tmp_path: Path) -> None:
    near = str(placed(written(tmp_path / "run", KEPT, LEDGER, signals=SIGNALS, rules=RULES, set_aside=1)))
    for name in storage.walk(near):
        storage.put(storage.join(folder, name), storage.read_bytes(storage.join(near, name)))

    assert found_in(folder, ["host=a.cn"], n=4) == found_in(near, ["host=a.cn"], n=4)
    assert Finder(folder).places is not None
    for wanted in (KEPT[1]["url"], key(1).hex(), key(10).hex(), key(20).hex()):
        assert list(explained(Finder(folder), wanted)) == list(explained(Finder(near), wanted))
