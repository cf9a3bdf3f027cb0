"""The report shows what results/ holds for the rows that params.yaml has."""

from stages.core import claims, tables
from stages.report import collect


def test_the_ledger_is_read_back_from_the_results_of_the_rows_there_are(tmp_path):
    row = claims.check(6920, "c", "how", 1, 1, "equal", "data", "unit")
    for key in ("a", "b", "removed"):
        tables.write(claims.table([row]), tmp_path / "evaluate" / key / "claims.parquet")
    systems = {"a": {}, "b": {}, "not run yet": {}}
    assert [r["archive"] for r in collect.ledger(systems, tmp_path).to_pylist()] == [6920, 6920]
    assert collect.ledger(systems, tmp_path / "none").num_rows == 0
