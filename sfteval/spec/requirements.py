"""What a suite requires and what of it is there.

Comes in: the located suite. Goes out: one line for each thing that is missing. Nothing is imported: packages are looked
up in the installation's metadata, or as modules.
"""

from __future__ import annotations

import importlib.util
import os
from importlib import metadata
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement

from sfteval.records import Requires
from sfteval.spec.validation import validate
from sfteval.yamlfile import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sfteval.errors import Fault
    from sfteval.spec.paths import Fence
    from sfteval.yamlfile import Located

PACKAGE = "sfteval"


def unmet(document: Located, fence: Fence, faults: list[Fault]) -> tuple[str, ...]:
    """Return what is required and missing; append a fault for what cannot be required."""
    if document.data.get("requires") is None:
        return ()
    requires = validate(Requires, document, ("requires",), [])
    if requires is None:
        return ()  # the suite's own validation says why
    missing = [*_packages(requires, document, faults), *_extras(requires, document, faults)]
    missing += [f"the environment variable {name} is not set" for name in requires.env if not os.environ.get(name)]
    for index, written in enumerate(requires.files):
        problem = fence.problem(written, f"requires.files[{index}]")
        if problem is not None and problem[0].startswith("no file "):
            missing.append(f"the file {written} is not there")
        elif problem is not None:
            faults.append(document.fault(("requires", "files", index), *problem))
    return tuple(missing)


def _packages(requires: Requires, document: Located, faults: list[Fault]) -> Iterator[str]:
    for index, written in enumerate(requires.packages):
        try:
            wanted = Requirement(written)
        except InvalidRequirement:
            found = f"{written!r} in requires.packages[{index}]"
            faults.append(document.fault(("requires", "packages", index), found, "a package, such as openai>=2"))
            continue
        if not _installed(wanted):
            yield f"the package {written} is not installed"


def _extras(requires: Requires, document: Located, faults: list[Fault]) -> Iterator[str]:
    if not requires.extras:
        return
    known = metadata.metadata(PACKAGE).get_all("Provides-Extra") or []
    parts = [Requirement(each) for each in metadata.requires(PACKAGE) or []]
    for index, extra in enumerate(requires.extras):
        if extra not in known:
            found = f"{extra!r} in requires.extras[{index}]"
            place = ("requires", "extras", index)
            faults.append(document.fault(place, found, "an extra of sfteval", did_you_mean(extra, known)))
            continue
        wanted = [part for part in parts if part.marker is not None and part.marker.evaluate({"extra": extra})]
        lacking = [part.name for part in wanted if not _installed(part)]
        if lacking:
            yield f"the extra sfteval[{extra}] is not installed ({', '.join(lacking)})"


def _installed(wanted: Requirement) -> bool:
    try:
        return wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return not wanted.specifier and importlib.util.find_spec(wanted.name.replace("-", "_")) is not None
