"""Evidently's default drift of a text column, on the windows that benchmarks.drift sends; run by its own Python.

Reads a list of [reference, windows] as JSON from stdin, prints one true or false a window. It calls the function behind
the default for references of up to 1000 rows: the ROC AUC of a classifier on half of the rows, held against the 95th
percentile of random scores. That percentile takes seconds and depends on the labels alone, so it is kept.
"""

import json
import sys
import warnings


def main() -> None:
    """Judges every window."""
    warnings.filterwarnings("ignore")
    import pandas
    from evidently.legacy.utils import data_drift_utils as evidently

    percentile, known = evidently.roc_auc_random_classifier_percentile, {}

    def kept(labels, **settings):
        key = labels.to_numpy().tobytes()
        if key not in known:
            known[key] = percentile(labels, **settings)
        return known[key]

    evidently.roc_auc_random_classifier_percentile = kept
    found = []
    for reference, windows in json.load(sys.stdin):
        for window in windows:
            texts = pandas.Series(reference), pandas.Series(window)
            found.append(bool(evidently.calculate_text_drift_score(*texts, bootstrap=True)[1]))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
