"""Names of the columns that exist once for each split and metric, such as `train_loss` and `test_error_se`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

METRICS = {"loss": "nats", "error": "%"}  # and their units
STATISTICS = {
    "mean": "mean over the examples",
    "se": "standard error of the mean over the examples",
    "reestimated": "mean over the examples with BatchNorm re-estimated as along the paths",
    "barrier": "barrier of the line, as in summary.csv",
    "barrier_low": "lower end of the barrier's 95 % interval",
    "barrier_high": "upper end of the barrier's 95 % interval",
}
_SCORE = re.compile(rf"(.+)_({'|'.join(METRICS)})(?:_({'|'.join(STATISTICS)}))?")
_COUNT = re.compile(r"(?!batch_norm_)(.+)_examples")  # batch_norm_examples counts no split


@dataclass(frozen=True)
class ScoreName:
    """What the name of such a column says.

    Attributes:
        split: the part of the data.
        metric: a key of `METRICS`; empty for a number of examples.
        statistic: a key of `STATISTICS`, or `examples`.
    """

    split: str
    metric: str
    statistic: str


def score_column(split: str, metric: str, statistic: str = "mean") -> str:
    """The name of the column that holds a statistic of a metric on a split, or how many examples were scored.

    >>> score_column("train", "loss"), score_column("test", "error", "se"), score_column("test", "", "examples")
    ('train_loss', 'test_error_se', 'test_examples')
    """
    return "_".join(part for part in (split, metric, "" if statistic == "mean" else statistic) if part)


def parse_score_column(name: str) -> ScoreName | None:
    """Read a name that `score_column` made; None for the name of any other column.

    >>> parse_score_column("train_loss_barrier_low")
    ScoreName(split='train', metric='loss', statistic='barrier_low')
    """
    if found := _SCORE.fullmatch(name):
        return ScoreName(found[1], found[2], found[3] or "mean")
    found = _COUNT.fullmatch(name)
    return ScoreName(found[1], "", "examples") if found else None


def score_columns(names: Iterable[str], metric: str | None = None, statistic: str = "mean") -> list[str]:
    """Those of the names that stand for a statistic of any metric, or of one metric.

    >>> score_columns(["t", "train_loss", "test_error", "train_loss_se"])
    ['train_loss', 'test_error']
    """
    parsed = {name: parse_score_column(name) for name in names}
    return [
        name
        for name, score in parsed.items()
        if score is not None and score.statistic == statistic and metric in (None, score.metric)
    ]
