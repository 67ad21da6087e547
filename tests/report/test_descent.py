from __future__ import annotations

from docendo.report.descent import descent
from docendo.report.results import result_of
from tests.report.conftest import Ran


def test_descent_goes_from_the_returned_checkpoint_over_rows_and_samples_to_the_base(ran: Ran) -> None:
    result = result_of(ran.workspace, "one")
    line = descent(ran.workspace, result)
    assert line[0].checkpoint == result["chosen"]["checkpoint"]
    assert line[-1].training is None
    assert line[-1].name == "base"
    by_digest = {one.checkpoint: place for place, one in enumerate(line)}
    for place, one in enumerate(line[:-1]):
        assert one.training is not None
        assert one.start == line[-1].checkpoint  # the recipe trains from the base every round
        assert [ancestor.kind for ancestor in one.rows] == ["select", "select", "verify", "read", "sample"]
        contamination, selection, verdicts, _, samples = one.rows
        assert contamination.rows == selection.kept
        assert one.training.rows == contamination.kept
        assert verdicts.rows == samples.rows == 16 * 4
        assert one.writers
        assert all(by_digest[writer] > place for writer in one.writers)  # who wrote it came before it


def test_descent_without_the_train_stages_ends_where_it_cannot_be_followed(ran: Ran) -> None:
    result = result_of(ran.workspace, "one")
    shorter = {**result, "stages": [one for one in result["stages"] if one["kind"] != "train"]}
    line = descent(ran.workspace, shorter)
    assert [one.checkpoint for one in line] == [result["chosen"]["checkpoint"]]


def test_answers_descend_from_who_wrote_them(ran: Ran) -> None:
    result = {**result_of(ran.workspace, "one"), "chosen": {"kind": "answers"}}
    line = descent(ran.workspace, result)
    assert line[0].checkpoint == ""
    assert [ancestor.kind for ancestor in line[0].rows] == ["evaluate", "read", "sample"]
    assert line[0].writers[0] == line[1].checkpoint
    assert line[-1].name == "base"
