"""`datapipe audit sign`, `attach` and `log`: who stands for a corpus, and whether what they signed still lies there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datapipe import ConfigError, shown, storage

if TYPE_CHECKING:
    from stages.audit.signed.log import Entry

Folder = Annotated[str, typer.Argument(metavar="DIR", help="the --out folder of a run", show_default=False)]


def sign(
    folder: Folder,
    name: Annotated[str, typer.Option(help="who signs")],
    role: Annotated[str, typer.Option(help="as what, such as 'data steward'")],
    statement: Annotated[str, typer.Option(help="what is stated, such as 'fit for training of models up to 7B'")],
    sample: Annotated[
        list[str] | None, typer.Option(help="name of a sample that it rests on; all that are there unless given")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="check that all is whole first; the signature says whether")
    ] = True,
    quick: Annotated[bool, typer.Option("--quick", help="as of `datapipe verify`")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the entry")] = False,
) -> None:
    """Sign a corpus: your name, role and statement, with the digests of all they stand for, go into its log.

    Keep the digest that is printed where nobody who can write into DIR can change it: `datapipe verify --head` holds
    the log to it. To sign with a key as well, sign the entry's file, and attach the signature.
    """
    from datapipe import Look  # noqa: PLC0415 - help is shown without Arrow
    from stages.audit.signed.sign import sign as put  # noqa: PLC0415

    look = Look(folder, quick=quick, signed=None) if verify else None
    entry = put(folder, name=name, role=role, statement=statement, samples=sample or (), look=look)
    if as_json:
        typer.echo(json.dumps({**json.loads(entry.written), "head": entry.digest}, indent=1, ensure_ascii=False))
        return
    path, number = storage.join(folder, entry.name), entry.number
    typer.echo(f"signed {len(entry.content['files'])} files in {path}")
    typer.echo(f"head {entry.digest}")
    typer.echo(
        f"with a key: ssh-keygen -Y sign -n datapipe -f KEY < {path} > FILE; "
        f"datapipe audit attach {folder} --entry {number} --signature FILE"
    )


def attach(
    folder: Folder,
    entry: Annotated[int, typer.Option(min=1, help="number of the entry of the log")],
    signature: Annotated[
        str, typer.Option(metavar="FILE", help="of ssh-keygen -Y sign, gpg or minisign over its file")
    ],
) -> None:
    """Put a signature made with a key beside the entry of the log that it is of."""
    from stages.audit.signed.detached import attach as put  # noqa: PLC0415
    from stages.audit.signed.log import LOG, entries  # noqa: PLC0415

    found = {one.number: one for one in entries(folder)}
    if entry not in found:
        raise ConfigError(f"--entry {entry}: the log has {len(found)} entries; `datapipe audit log` lists them")
    if not storage.exists(signature) or storage.is_folder(signature):
        raise ConfigError(f"--signature {signature}: there is no such file")
    typer.echo(put(folder, found[entry], storage.read_bytes(signature)))
    typer.echo(f"checked by `datapipe verify`, against who may sign with --allowed-signers; {LOG} is as it was")


def log(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """List what people did with a corpus, in order, and whether what they signed still lies there.

    Exit status 1 where the log is damaged. A log that was written anew as a whole, or whose end was cut off, is whole
    by itself: keep the digest of its head elsewhere, and hold it to that by `datapipe verify --head`.
    """
    from stages.audit.signed.log import LOG, faults  # noqa: PLC0415

    if not storage.is_folder(folder):
        raise ConfigError(f"{folder}: there is no such folder; give the --out folder of a run")
    broken = list(faults(folder))
    told = [] if broken else list(_told(folder))
    if as_json:
        typer.echo(json.dumps({"entries": told, "faults": broken}, indent=1, ensure_ascii=False))
    elif not told and not broken:
        typer.echo(f"{storage.join(folder, LOG)}: has no entry yet")
    else:
        for line in (*broken, *(line for one in told for line in _lines(one))):
            typer.echo(shown(line))
        if told:
            typer.echo(f"head {told[-1]['digest']}")
    raise typer.Exit(1 if broken else 0)


def _told(folder: str) -> Iterator[dict[str, Any]]:  # Any: JSON
    """Yields what each entry says, its digest, and of a signature what makes it stale."""
    from datapipe import Look  # noqa: PLC0415
    from stages.audit.signed.detached import path_of  # noqa: PLC0415
    from stages.audit.signed.log import entries  # noqa: PLC0415
    from stages.audit.signed.sign import KIND, standing  # noqa: PLC0415
    from stages.audit.standing import digests  # noqa: PLC0415

    look, found = Look(folder), entries(folder)
    corpus = digests(folder) if any(entry.kind == KIND for entry in found) else {}
    for entry in found:
        told = _plain(entry)
        if entry.kind == KIND:
            told["stale"] = list(standing(folder, entry, look.sha256, corpus))
        if storage.exists(path_of(folder, entry)):
            told["signature"] = path_of(folder, entry)
        yield told


def _plain(entry: Entry) -> dict[str, Any]:  # Any: JSON
    return {
        "number": entry.number,
        "time": entry.time,
        "kind": entry.kind,
        "digest": entry.digest,
        "content": dict(entry.content),
    }


def _lines(told: dict[str, Any]) -> Iterator[str]:  # Any: JSON
    content = told["content"]
    about = str(content.get("name") or content.get("sample") or "")
    role = f" ({content['role']})" if content.get("role") else ""
    yield f"{told['number']:>6}  {told['time']}  {told['kind']:<9} {about}{role}  {told['digest'][:12]}…"
    if content.get("statement"):
        yield f"        “{content['statement']}”"
    if "stale" in told:
        files = len(content.get("files", {}))
        checked = "verified first" if content.get("verified") else "not verified first"
        state = f"stale: {'; '.join(told['stale'])}" if told["stale"] else "all of it lies here as it was signed"
        yield f"        {files} files, {checked}; {state}"
    if "signature" in told:
        yield f"        signed with a key: {told['signature']}"
