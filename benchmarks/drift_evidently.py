"""Evidently's default drift of a text column, on the windows that benchmarks.drift sends; run by its own Python.

Reads a list of [reference, windows] as JSON from stdin, prints one true or false a window.
"""

import json
import sys
import warnings


def main() -> None:
    """Judges every window by `ValueDrift` as it comes: a classifier's ROC AUC and its threshold."""
    warnings.filterwarnings("ignore")
    import pandas
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    columns = DataDefinition(text_columns=["text"])

    def data(texts: list[str]) -> object:
        return Dataset.from_pandas(pandas.DataFrame({"text": texts}), data_definition=columns)

    found = []
    for reference, windows in json.load(sys.stdin):
        for window in windows:
            report = Report([ValueDrift(column="text")], include_tests=True).run(data(window), data(reference))
            found.append(report.dict()["tests"][0]["status"].upper().endswith("FAIL"))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
