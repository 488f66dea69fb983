import pytest

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data.groups import Unions, assign
from ssl_platform.errors import LabelError
from ssl_platform.types import Row


class Patients:
    suffixes = ()
    columns = {}

    def __init__(self, word="patient"):
        self.word = word

    def claims(self, path):
        return True

    def group(self, row):
        return row.group, self.word


def rows(*ids, groups=None):
    groups = groups or [None] * len(ids)
    return [Row(name, f"/d/{name}", (8,), group=group) for name, group in zip(ids, groups, strict=True)]


def assigned(items, given=None, rule=None, domain=None):
    return assign(items, range(len(items)), given, LabelsConfig(group=rule), domain)


def test_a_column_wins():
    found = assigned(rows("a", "b", groups=["x", "y"]), ["p", "p"], domain=Patients())
    assert (found.names, found.rule) == (["p", "p"], "column group")
    assert found.notes == ["groups: 1 group by column group"]


def test_a_renamed_column_is_named():
    assert assigned(rows("a"), ["p"], rule="patient_id").rule == "column patient_id"


def test_where_the_column_is_empty_the_domains_rule_joins_what_it_knows_to_be_one():
    items = rows("a", "b", "c", "d", groups=["h1", "h1", "h2", None])
    found = assigned(items, ["p1", "", "", ""], domain=Patients())
    assert found.names == ["p1", "p1", "h2", "d"]
    assert found.notes[1] == (
        "groups: 3 entries not in column group: 1 joined to a group by patient, the rest by the file's own rule"
    )


def test_parent_groups_by_folder():
    found = assigned(rows("p1/s/a", "p1/s/b", "p2/s/a"), rule="parent")
    assert found.names == ["p1/s", "p1/s", "p2/s"]
    assert found.notes == ["groups: 2 groups by parent folder, 3 items"]


@pytest.mark.parametrize("pattern", [r"(?P<group>[a-z]+)_\d", r"([a-z]+)_\d", r"[a-z]+"])
def test_a_regular_expression_groups_by_its_group_its_first_or_all_of_it(pattern):
    assert assigned(rows("x/theo_1.wav", "x/theo_2.wav", "x/yw_1.wav"), rule=f"name:{pattern}").names == [
        "theo",
        "theo",
        "yw",
    ]


def test_names_that_do_not_fit_are_groups_of_their_own_and_said():
    found = assigned(rows("p1_a", "zz"), rule=r"name:p{1}\d")
    assert found.names == ["p1", "zz"]
    assert found.notes == [
        r"groups: 2 groups by name:p{1}\d; it does not fit 1 item, such as 'zz': each is its own group"
    ]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"q\d", r"labels.group=name:q\d fits no item: 'p1_a' is the first"),
        ("(", "labels.group=name:( is not a regular expression (missing ), unterminated subpattern at position 0)"),
    ],
)
def test_an_expression_that_cannot_be_used_is_one_line(pattern, message):
    with pytest.raises(LabelError) as error:
        assigned(rows("p1_a"), rule=f"name:{pattern}")
    assert str(error.value) == message


def test_the_domains_rule_is_printed():
    found = assigned(rows("a", "b", "c", groups=["h1", "h1", None]), domain=Patients())
    assert (found.names, found.rule) == (["h1", "h1", "c"], "patient")
    assert found.notes == ["groups: 2 groups by patient; 1 item without one: each is its own group"]


@pytest.mark.parametrize(
    ("domain", "thing"),
    [(None, "group"), (Patients(), "patient"), (Patients("slide"), "slide"), (Patients("file"), "group")],
)
def test_else_every_file_is_its_own_group_and_that_is_said(domain, thing):
    found = assigned(rows("a", "b"), domain=domain)
    assert (found.names, found.rule) == (["a", "b"], "file")
    assert found.notes == [f"groups: no {thing} known: every file is its own group (2 groups)"]


def test_windows_share_the_group_of_their_file():
    assert assign(rows("a", "b"), [0, 0, 1], None, LabelsConfig()).names == ["a", "a", "b"]


def test_unions_name_a_set_after_its_least_member_whatever_the_order():
    for order in ([(1, 2), (3, 4), (2, 3)], [(3, 4), (2, 3), (2, 1)]):
        unions = Unions()
        for a, b in order:
            unions.join(a, b)
        assert {unions.find(n) for n in (1, 2, 3, 4)} == {1} and unions.find(5) == 5
