"""A run made again elsewhere: what is known to differ before it begins, and what came out otherwise, and why.

The recipe of a run (see `datapipe.recipe`) is run again where its inputs lie now, into a folder of its own, and the
digests of both are compared step by step. As steps run one on another, the first that differs stands on equal rows; so
what differs of its own input files, models, libraries or code is what made it differ.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from datapipe import storage
from datapipe.clean import work_of
from datapipe.config import load_config
from datapipe.dataset import InputFile
from datapipe.differences import Difference, differences, unknown_inputs
from datapipe.errors import ConfigError, DataError, PlanError
from datapipe.job import on_cluster, run, version
from datapipe.plan import Planner
from datapipe.publish import CLAIM, Place, read_claim
from datapipe.recipe import Recipe, functions_of, leaves, read_recipe, recipe_of, sources_of
from datapipe.reproduce.compare import Differing, causes, differing_files, differing_steps, first_differing
from datapipe.reproduce.roots import Roots, roots_of
from datapipe.run import Listener
from datapipe.stage import identity

HASHED_BEFORE_BYTES = 64 << 30  # of inputs; of more, contents are compared when tasks have read them
HASHERS = 8
SHOWN = 20  # differences that are printed


@dataclass(frozen=True)
class Reproduction:
    """What making a run again came to.

    `before` is what was known to differ before it ran, `found` what is known after; of `unknown` input files nothing
    says whether their content is equal. Without `ran` nothing was run, and nothing further is known. Of `shards` so
    many were `made`; what lay in the work folder before was not made again. `unhashed` inputs are too large to be read
    before the run.
    """

    folder: str
    before: tuple[Difference, ...]
    found: tuple[Difference, ...] = ()
    unknown: int = 0
    unhashed: bool = False
    ran: bool = False
    made: int = 0
    shards: int = 0
    steps: int = 0
    differing_steps: tuple[str, ...] = ()
    files: int = 0
    differing_files: tuple[str, ...] = ()
    first: Differing | None = None
    causes: tuple[Difference, ...] = ()
    config_sha256: tuple[str, str] = ("", "")
    roots: Roots = field(default_factory=Roots)

    @property
    def equal(self) -> bool:
        """Whether all is equal; before it ran, whether nothing is known that makes other rows or names of them."""
        if not self.ran:
            return not any(one.is_certain for one in self.before)
        return not self.differing_steps and not self.differing_files

    @property
    def exit_status(self) -> int:
        """0 where all is equal, else 1."""
        return 0 if self.equal else 1

    def to_json(self) -> str:
        """Returns all of it as JSON; `equal` says what it came to, null before it ran; sentences stand beside."""
        data = asdict(self)
        del data["roots"]
        for name in ("before", "found", "causes"):
            data[name] = [{**asdict(one), "sentence": str(one)} for one in getattr(self, name)]
        if self.first:
            data["first"]["sentence"] = str(self.first)
        return json.dumps(
            {"equal": self.equal if self.ran else None, **data, "moved": self.roots.places},
            indent=1,
            ensure_ascii=False,
        )

    def lines(self) -> Iterator[str]:
        """Yields it as sentences: what differed before is said by `known`, when the run begins."""
        if not self.ran:
            yield from known(self)
            return
        if self.made < self.shards:
            before = self.shards - self.made
            yield f"note: {before} of {self.shards} shards were in the work folder before, and not made again"
        if self.equal:
            despite = ", whatever differs" if self.found else ""
            yield f"equal: all {self.steps} steps and {self.files} published files have the digests recorded{despite}"
            return
        if self.first:
            yield f"differs: {len(self.differing_steps)} of {self.steps} steps; the first is {self.first}"
            yield from self._why()
        elif self.differing_files:
            yield "all steps are equal, but not what is published: files of the recorded run were changed since"
        names = ", ".join(self.differing_files[:SHOWN]) + (", …" if len(self.differing_files) > SHOWN else "")
        yield f"published files that differ: {len(self.differing_files)} of {self.files}" + (
            f" ({names})" if names else ""
        )

    def _why(self) -> Iterator[str]:
        assert self.first is not None
        if self.first.is_name:
            yield "  rows are equal: what differs is the name of the run in them (config_sha256, code_version), by:"
        elif any(one.stages for one in self.causes):
            yield "  why: all before it is equal, and of what it stands on itself there differs:"
        elif self.causes:
            yield "  why: nothing differs that this step alone stands on; what may be behind it:"
        for one in self.causes[:SHOWN]:
            yield f"    {one}"
        if not self.causes and self.unknown:
            yield (
                f"  why: perhaps an input: the content of {self.unknown} files could not be compared, as no digest of "
                "it was taken"
            )
        elif not self.causes:
            yield (
                "  why: nothing recorded differs, so this step does not give the same rows twice here: please report "
                "it, with these lines and reports/recipe.json"
            )


def known(found: Reproduction) -> Iterator[str]:
    """Yields what is known to differ before a run begins, as sentences."""
    sure = [one for one in found.before if one.is_certain]
    others = [one for one in found.before if not one.is_certain]
    if sure:
        yield f"known to differ: {len(sure)}"
    yield from (f"  {one}" for one in sure[:SHOWN])
    if len(sure) > SHOWN:
        yield f"  and {len(sure) - SHOWN} more"
    if others:
        yield "may make other numbers, and mostly does not:"
    yield from (f"  {one}" for one in others[:SHOWN])
    if found.unknown:
        when = "is known when it is read" if found.unhashed else "is not known: no digest of it was taken"
        yield f"whether the content of {found.unknown} input files is equal {when}"
    if not found.before:
        yield "nothing is known to differ: inputs, models, libraries, code and machine are those recorded"


def reproduce(
    folder: str | os.PathLike[str],
    *,
    inputs: Sequence[str] = (),
    out: str | os.PathLike[str] | None = None,
    work: str | os.PathLike[str] | None = None,
    executor: str = "ray",
    address: str | None = None,
    workers: int | None = None,
    check_only: bool = False,
    listener: Listener | None = None,
    heard: Callable[[Reproduction], None] | None = None,
) -> Reproduction:
    """Runs the recorded config of the run in `folder` again and compares what came of it, step by step.

    `inputs` say where inputs lie now, `OLD=NEW` or a folder each (see `datapipe.reproduce.roots`). It runs into `out`,
    or a temporary folder that is removed; `heard` is called with what is known before that. With `check_only` nothing
    is run.

    Raises:
        ConfigError: there is no run with a recipe, or an input or model is not where it is looked for.
        DataError: the recipe is not what the run wrote.
        DatapipeError: the run does not go through.
    """
    recorded = _recorded(os.fspath(folder))
    where = storage.absolute(folder)
    roots = roots_of(recorded, inputs)
    if executor == "ray" and on_cluster(address) and out is None and not check_only:
        raise ConfigError("on a cluster give --out, a folder that all nodes see, or s3://")
    with tempfile.TemporaryDirectory(prefix="datapipe-reproduce-", dir=os.environ.get(storage.SCRATCH)) as temporary:
        config = os.path.join(temporary, "config.yaml")  # as a mapping its keys would be sorted, and sources with them
        Path(config).write_text(json.dumps(roots.config(recorded), ensure_ascii=False))
        planner = _planned(config, recorded, roots, os.path.join(temporary, "work"))
        before = _before(where, recorded, roots, planner, all_of_it=check_only)
        if check_only:
            return before
        if heard is not None:
            heard(before)
        _refuse_missing(before)
        place = storage.absolute(out) if out is not None else os.path.join(temporary, "out")
        cache = storage.absolute(work) if work is not None else storage.join(place, "work")
        _refuse_shared(place, cache, where)
        report = run(
            config,
            out=place,
            work=work,
            sample=recorded.sample,
            executor=executor,
            address=address,
            workers=workers,
            listener=listener,
        )
        return replace(_after(before, recorded, (where, place), cache, planner), made=report.made)


def _recorded(folder: str) -> Recipe:
    if not storage.exists(storage.join(folder, CLAIM)):
        raise ConfigError(f"{folder}: holds no {CLAIM}; give the --out folder of a run that has finished")
    recipe = read_recipe(folder)
    if recipe is None:
        raise ConfigError(
            f"{folder}: holds no recipe: its run did not finish, an earlier datapipe made it, which recorded none, or "
            "documents were taken out of it since; run its config with this one"
        )
    if not recipe.config.get("steps"):
        raise ConfigError(f"{folder}: its recipe holds no config: it was run from Python, by datasets of its own")
    return recipe


def _planned(config: str, recipe: Recipe, roots: Roots, work: str) -> Planner:
    try:
        return Planner(load_config(config).pipeline(sample=recipe.sample), work, version())
    except (ConfigError, PlanError) as error:
        changed = ", ".join(_changed_files(recipe, roots))
        raise ConfigError(
            f"the recorded config cannot be planned here: {str(error).removeprefix(f'{config}: ')}"
            + (f"; not the files that were recorded: {changed}" if changed else "")
            + "; where inputs or models lie elsewhere, --inputs OLD=NEW says so"
        ) from error


def _changed_files(recipe: Recipe, roots: Roots) -> Iterator[str]:
    """Yields the files named by the config's fields that are there and are others."""
    for stage in recipe.stages:
        for file in stage.resources:
            path = roots.moved(file.path)
            if file.field and storage.exists(path) and not storage.is_folder(path):
                digest = storage.sha256_of(path)
                if digest != file.sha256:
                    yield f"{stage.name}.{file.field}: {path} (SHA-256 was {file.sha256[:12]}…, now {digest[:12]}…)"


def _before(folder: str, recorded: Recipe, roots: Roots, planner: Planner, *, all_of_it: bool) -> Reproduction:
    """Returns what is known to differ before anything is run; all input files of equal size are read for it."""
    here = recipe_of(planner, digests={})
    wanted = list(_comparable(recorded, planner))
    unhashed = not all_of_it and sum(file.part_bytes for file in wanted) > HASHED_BEFORE_BYTES
    if not unhashed:
        with ThreadPoolExecutor(HASHERS) as pool:
            digests = pool.map(lambda file: storage.sha256_of(file.url, file.part), wanted)
            here = recipe_of(planner, digests=dict(zip(wanted, digests, strict=True)))
    return Reproduction(
        folder,
        (*differences(recorded, here, roots.moved), *_written_paths(planner, roots)),
        unknown=unknown_inputs(recorded, here),
        unhashed=unhashed,
        config_sha256=(recorded.config_sha256, here.config_sha256),
        roots=roots,
    )


def _written_paths(planner: Planner, roots: Roots) -> Iterator[Difference]:
    """Yields the moved paths that are part of what a stage's functions are: of its fingerprint, perhaps its rows."""
    for name, functions in functions_of(planner).items():
        said = {value for _, value in leaves(identity(list(functions)))}
        for old, new in roots.places.items():
            if old != new and new in said:
                yield Difference("path", f"{name}: {old}", old, new, (name,))


def _comparable(recorded: Recipe, planner: Planner) -> Iterator[InputFile]:
    """Yields the files, or ranges of them, of which a digest was recorded and the size is as it was."""
    for source, op in sources_of(planner).items():
        held = {
            (file.name, file.bytes, start, end)
            for file in recorded.inputs.get(source, ())
            for start, end, digest in file.ranges
            if digest
        }
        for group in op.groups:
            for file in group:
                if (file.name, file.size_bytes, *(file.part or (0, file.size_bytes))) in held and not file.sha256:
                    yield file


def _refuse_missing(before: Reproduction) -> None:
    """Raises ConfigError where an input or a model that was there is not: what would be run is another run."""
    gone = [one for one in before.before if one.kind in ("input", "resource") and one.b is None]
    if gone:
        more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
        raise ConfigError(
            f"not there: {', '.join(one.name for one in gone[:3])}{more}; --inputs OLD=NEW says where inputs lie, and "
            "--check-only all that differs"
        )


def _refuse_shared(place: str, cache: str, folder: str) -> None:
    """Raises ConfigError where the second run would write into the first, or find all made by it."""
    place, cache, own, folder = map(_real, (place, cache, work_of(folder), folder))
    if place == folder or place.startswith(f"{folder}/"):
        raise ConfigError(f"--out {place}: holds the run itself, or lies in it; give a folder of its own")
    if cache == own:
        raise ConfigError(
            f"--work {cache}: holds what the run itself has made, so nothing would be made again; leave it out, or "
            "name another"
        )


def _real(path: str) -> str:
    return path.rstrip("/") if storage.is_remote(path) else os.path.realpath(path)


def _after(
    before: Reproduction, recorded: Recipe, folders: tuple[str, str], work: str, planner: Planner
) -> Reproduction:
    made = read_recipe(folders[1])
    if made is None:
        raise DataError(f"{folders[1]}: the run left no recipe; run the command again")
    found = (*differences(recorded, made, before.roots.moved), *(one for one in before.before if one.kind == "path"))
    claims = [read_claim(Place(folder, "")) for folder in folders]
    first = first_differing(folders, (recorded, made), planner, work)
    names = {name for claim in claims for name in claim["files"]}
    return replace(
        before,
        found=found,
        unknown=unknown_inputs(recorded, made),
        unhashed=False,
        ran=True,
        shards=sum(step.shards for step in made.steps),
        steps=max(len(recorded.steps), len(made.steps)),
        differing_steps=tuple(name for _, name in differing_steps(recorded, made)),
        files=len(names),
        differing_files=tuple(differing_files(*claims)),
        first=first,
        causes=causes(first, found) if first else (),
        config_sha256=(recorded.config_sha256, made.config_sha256),
    )
