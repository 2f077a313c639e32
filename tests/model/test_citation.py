"""Citations: read, written and compared."""

import tomllib
from pathlib import Path

import pytest

import carnet
from carnet.model.citation import Citation, format_citations, parse_citations

TERMS = tomllib.loads((Path(carnet.__file__).parent / "law" / "terms.toml").read_text("utf-8"))
CITES = sorted(
    {spec["cite"] for table in TERMS.values() if isinstance(table, dict) for spec in table.values()}
)


def one(text):
    (citation,) = parse_citations(text)
    return citation


def test_a_citation_is_read_into_its_parts():
    assert one("15 CFR 744.6(c)(2)") == Citation(code="CFR", title=15, number="744.6", paragraphs=("c", "2"))
    assert one("50 USC 4801(5)") == Citation(code="USC", title=50, number="4801", paragraphs=("5",))
    assert one("90 FR 50857") == Citation(code="FR", title=90, number="50857")
    assert one("letter of 2026-06-12") == Citation(code="", note="letter of 2026-06-12")
    assert one("15 CFR 772.1 (foreign person)").note == " (foreign person)"
    assert one("15 CFR part 732, Supp. 3").number == "part 732"


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("15 CFR 772.1; 734.13(a)(2)", "15 CFR 772.1; 15 CFR 734.13(a)(2)"),
        (
            "15 CFR 734.13(a)(1), (c), 734.14(a)(1)",
            "15 CFR 734.13(a)(1); 15 CFR 734.13(c); 15 CFR 734.14(a)(1)",
        ),
        ("15 CFR 744.6(c)(1), and 734.20", "15 CFR 744.6(c)(1); 15 CFR 734.20"),
        ("15 CFR 744.6(b); (c)", "15 CFR 744.6(b); 15 CFR 744.6(c)"),
        ("15 CFR 744.6(c)(1), (2)", "15 CFR 744.6(c)(1); 15 CFR 744.6(c)(2)"),
        ("15 CFR 742.6(a)(6)(iii), (iv)", "15 CFR 742.6(a)(6)(iii); 15 CFR 742.6(a)(6)(iv)"),
        ("15 CFR 744.22(b); letter of 2026-06-12", "15 CFR 744.22(b); letter of 2026-06-12"),
        ("ECCN 4E091, note 1", "ECCN 4E091, note 1"),
    ],
)
def test_what_is_left_out_is_filled_in_from_the_one_before(text, full):
    assert format_citations(parse_citations(text)) == full


@pytest.mark.parametrize("text", CITES)
def test_every_citation_of_the_shelf_reads_back_as_written(text):
    citations = parse_citations(text)
    assert parse_citations(format_citations(citations)) == citations


def test_citations_sort_as_the_law_counts():
    texts = [
        "15 CFR 744.6",
        "15 CFR 744.6(b)",
        "15 CFR 744.6(b)(2)",
        "15 CFR 744.6(b)(10)",
        "15 CFR 744.11",
        "90 FR 50857",
        "a letter",
    ]
    citations = [one(text) for text in reversed(texts)]
    assert [str(each) for each in sorted(citations, key=Citation.order)] == texts
    romans = [one(f"15 CFR 742.6(a)(6)({roman})") for roman in ("ix", "v", "iv", "iii", "ii", "i")]
    assert sorted(romans, key=Citation.order) == list(reversed(romans))
    letters = [one(f"15 CFR 742.6({letter})") for letter in ("v", "k", "i", "h")]
    assert sorted(letters, key=Citation.order) == list(reversed(letters))
    assert one("10 CFR 810.1").order() < one("15 CFR 730.1").order()


def test_a_place_covers_what_lies_in_it():
    section, paragraph = one("15 CFR 744.6"), one("15 CFR 744.6(c)(2)")
    assert section.covers(paragraph)
    assert one("15 CFR part 744").covers(paragraph)
    assert paragraph.covers(paragraph)
    for other in ("15 CFR 744.6(c)(1)", "15 CFR 744.61", "22 CFR 744.6(c)(2)", "a letter"):
        assert not one(other).covers(paragraph)
    assert not paragraph.covers(section)
