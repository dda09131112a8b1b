"""docs/states.md says what the code does."""

import re
from itertools import product
from pathlib import Path

from delivery.domain.states import TRANSITIONS, State, fold

DOCUMENT = Path(__file__).parents[4] / "docs" / "states.md"


def _rows(table: str) -> list[list[str]]:
    """The cells of the table whose head begins with ``table``, without head and rule."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {table} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def _states(cell: str) -> set[State]:
    return {State(word.strip()) for word in cell.split(",")}


def test_the_table_of_arrows_is_the_table_of_transitions() -> None:
    documented = {
        (before, after)
        for _, sources, targets, _ in _rows("arrow")
        for before in _states(sources)
        for after in _states(targets)
    }
    assert documented == {(before, after) for before, afters in TRANSITIONS.items() for after in afters}


def test_every_arrow_has_a_letter_of_its_own_that_is_in_the_drawing() -> None:
    letters = [row[0] for row in _rows("arrow")]
    drawing = DOCUMENT.read_text(encoding="utf-8").split("```")[1]
    assert len(set(letters)) == len(letters)
    assert set(re.findall(r"(?<![A-Za-z])[a-z](?![A-Za-z])", drawing)) == set(letters)


def test_every_state_is_in_the_drawing() -> None:
    drawing = DOCUMENT.read_text(encoding="utf-8").split("```")[1]
    assert all(state.value in drawing for state in State)


def test_the_table_of_statuses_is_what_states_fold_to() -> None:
    cases = {
        "": [(True, True), (True, False), (False, True), (False, False)],
        "no report is to come": [(False, False), (False, True), (True, True)],
        "a report is to come": [(True, False)],
    }
    for status, cell in _rows("status"):
        for part in cell.split(";"):
            states, _, condition = part.partition(", where ")
            for state, (reports, unreported) in product(_states(states), cases[condition.strip()]):
                folded = fold(state, provider_reports_deliveries=reports, is_unreported=unreported)
                assert folded == status


def test_every_state_is_in_the_table_of_statuses() -> None:
    cells = " ".join(row[1] for row in _rows("status"))
    assert all(state.value in cells for state in State)
