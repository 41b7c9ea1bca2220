"""Attacks of other kinds than membership, as studies name them: what each is handed."""

from holdfast import catalog
from holdfast.audit.probes import RoundAttack, SecretAttack
from holdfast.core.evidence import Evidence
from holdfast.core.progress import silent


def test_every_name_of_the_catalog_is_of_its_kind():
    kinds = {name: type(catalog.resolve("attack", name)) for name in catalog.names("attack")}
    assert {name for name, kind in kinds.items() if kind is SecretAttack} == {
        *("canary", "inversion", "inversion-gumbel", "inversion-coordinate")
    }
    assert {name for name, kind in kinds.items() if kind is RoundAttack} == {"gradient"}


def test_the_searches_differ_in_their_variant():
    names = {"inversion": "softmax", "inversion-gumbel": "gumbel", "inversion-coordinate": "coordinate"}
    for name, variant in names.items():
        assert catalog.resolve("attack", name).find.keywords["settings"].variant == variant


def test_an_attack_hands_on_what_it_is_given_and_the_ranking_is_left_to_the_audit():
    given = []

    def find(model, secrets, *, subject, streams, tables):
        given.append((model, secrets, subject, streams, tables))
        return Evidence(notes=("found",))

    assert SecretAttack(find)("m", ["s"], subject="run", streams="streams", tables="tables").notes == ("found",)
    assert given == [("m", ["s"], "run", "streams", "tables")]
    assert SecretAttack()("m", ["s"], subject="run", streams="streams", tables="tables") == Evidence()


def test_rounds_are_read_from_clients_and_public_text():
    def read(model, *, clients_data, public, subject, streams, on_progress):
        assert (model, clients_data, public, subject, streams, on_progress) == ("m", "mine", "theirs", "run", "streams", silent)
        return Evidence(notes=("read",))

    attack = RoundAttack(read)
    assert attack("m", clients_data="mine", public="theirs", subject="run", streams="streams", on_progress=silent).notes == ("read",)
