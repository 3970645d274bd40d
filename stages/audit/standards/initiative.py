"""`sheets/data-provenance.json`: a record a source in the field names of the Data Provenance Initiative.

Source: data_summaries/_template.json of Data-Provenance-Initiative/Data-Provenance-Collection (read).
"""

from __future__ import annotations

import json
from typing import Any

from stages.audit.standards.codes import licence_url
from stages.audit.standards.known import Known
from stages.audit.standards.verified import SHEET, line


def records(known: Known) -> bytes:
    """Returns the records as JSON; empty strings and lists are what nobody stated."""
    made: dict[str, Any] = {"_verified": line(SHEET[1]).en}  # Any: JSON
    for name in known.counted.names:
        said = known.about.sources.get(name)
        licences = [licence for licence, _ in known.counted.licences(name) if licence]
        if said and said.licence:
            licences = list(dict.fromkeys([*licences, said.licence]))
        key = f"{known.audit.name}-{name}"
        rows = known.rows("kinds.source_language", "source", "language")
        pages = str(said.licence_url) if said and said.licence_url else None
        made[key] = {
            "Unique Dataset Identifier": key,
            "Dataset Name": said.title if said and said.title else name,
            "Paper Title": "",
            "Dataset URL": str(said.url) if said and said.url else "",
            "GitHub URL": "",
            "Hugging Face URL": "",
            "Papers with Code URL": "",
            "ArXiv URL": "",
            "Semantic Scholar Corpus ID": "",
            "Collection": known.audit.name,
            "Collection URL": str(known.about.url or ""),
            "Languages": [str(language) for source, language in rows if source == name],
            "Task Categories": ["language modeling"],
            "Text Sources": [],
            "Model Generated": list(said.models or ()) if said else [],
            "Format": [],
            "Human Annotation": "",
            "Derived from Datasets": list(said.derived_from or ()) if said else [],
            "Creators": list(said.creators or ()) if said else [],
            "Licenses": [{"License": one, "License URL": pages or licence_url(one) or ""} for one in licences],
            "License Notes": "as stated in the config" if licences else "none stated: not known, and not free",
            "License Verified By": said.licence_checked_by if said and said.licence_checked_by else "",
            "Dataset Filter IDs": [key],
            "Bibtex": "",
        }
    return (json.dumps(made, ensure_ascii=False, indent=1) + "\n").encode()
