"""What is written to a log about an error: what and where, and nothing that anybody sent."""

from carnet.gateway.telling import defect


def test_a_defect_is_told_by_its_kind_and_its_place_and_not_in_its_words():
    try:
        {}["dana, national of nowhere"]
    except KeyError as error:
        said = defect(error)
    assert said.startswith("KeyError at test_telling.py:")
    assert "dana" not in said
