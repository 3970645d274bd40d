"""A packed corpus and one by document, each with a held-out split."""

from pathlib import Path

import pytest

from stages.mix import Validation
from tests.stages.corpus.made import made


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("packed"), validation=Validation(ratio=0.1))


@pytest.fixture(scope="session")
def by_document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("by_document"), packing="document", validation=Validation(ratio=0.1))
