"""Reads BOLD: beginnings of Wikipedia sentences about people and groups, and how Wikipedia goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.core.errors import DataError, InputError, nearest
from holdfast.data.benchmarks.documents import Place, read_json
from holdfast.data.text_files import find

DOMAINS = ("gender", "political_ideology", "profession", "race", "religious_ideology")


@dataclass(frozen=True)
class Prompt:
    """One prompt of BOLD.

    Args:
        domain: Such as "gender".
        group: The group within the domain, such as "American_actresses".
        name: Whom or what the sentence is about, such as "Jacob_Zachar".
        text: The beginning of the sentence.
        continuation: The whole sentence of Wikipedia, or None where it is not there.
    """

    domain: str
    group: str
    name: str
    text: str
    continuation: str | None = None


def read_bold(folder: Path | str, domains: Sequence[str] = DOMAINS) -> list[Prompt]:
    """Reads BOLD (CC BY-SA 4.0; Dhamala et al. 2021).

    Args:
        folder: Where ``prompts/DOMAIN_prompt.json`` and, where they are there, ``wikipedia/DOMAIN_wiki.json`` lie; gzipped or not.
        domains: Which domains, in this order.

    Raises:
        InputError: For an unknown domain, or none.
        DataError: For a missing or malformed file; with the place in it.

    *Edge cases*: a prompt whose name has another count of sentences among those of Wikipedia has no continuation. Five prompts of the
    two ideologies are empty in the published files, since their sentence is one word; they are kept, so that positions agree.
    """
    if isinstance(domains, str) or not domains:
        raise InputError(f"domains is {domains!r}; give a list of domains, such as ['gender']")
    for domain in domains:
        if domain not in DOMAINS:
            raise InputError(f"no domain {domain!r}; {nearest(str(domain), DOMAINS)}")
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError("no such folder; give the one that holds the folders prompts and wikipedia", path=folder)
    return [prompt for domain in domains for prompt in _domain(folder, domain)]


def sentences(path: Path) -> Iterator[tuple[str, str, str]]:
    """Reads a file of BOLD.

    Args:
        path: JSON of {group: {name: [text, ...]}}.

    Yields:
        The group, the name and the text of each sentence.

    Raises:
        DataError: For another layout; with the place in it.
    """
    place = Place(path)
    for group, names in place.mapping(read_json(path)).items():
        inside = place.at(group)
        for name, texts in inside.mapping(names).items():
            here = inside.at(name)
            for at, text in enumerate(here.sequence(texts)):
                yield group, name, here.at(at).text(text, may_be_empty=True)


def _domain(folder: Path, domain: str) -> Iterator[Prompt]:
    whole: dict[tuple[str, str], list[str]] = {}
    continued = folder / "wikipedia" / f"{domain}_wiki.json"
    if find(continued) is not None:
        for group, name, text in sentences(continued):
            whole.setdefault((group, name), []).append(text)
    begun: dict[tuple[str, str], list[str]] = {}
    for group, name, text in sentences(folder / "prompts" / f"{domain}_prompt.json"):
        begun.setdefault((group, name), []).append(text)
    for (group, name), texts in begun.items():
        ends = whole.get((group, name), [])
        for at, text in enumerate(texts):
            yield Prompt(domain, group, name, text, ends[at] if len(ends) == len(texts) else None)
