"""The JSON of a run, or of several that measured different things, as it is read again."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.comparison import names

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """medians: by the measure's name and the contender's. ratios: postroom's to the best task queue."""

    about: Json
    rounds: int
    medians: dict[str, dict[str, float]]
    ratios: dict[str, float]
    contenders: Sequence[str]

    @classmethod
    def of(cls, written: Json) -> "Run":
        measures = written["measures"]
        medians = {
            measure["name"]: {name: statistics.median(rounds) for name, rounds in measure["rounds"].items()}
            for measure in measures
        }
        return cls(
            about=written["about"],
            rounds=max((len(of) for measure in measures for of in measure["rounds"].values()), default=0),
            medians=medians,
            ratios={
                measure["name"]: ratio["median"]
                for measure in measures
                if (ratio := measure["times_best_task_queue"]) is not None
            },
            contenders=[name for name in names.ALL if any(name in each for each in medians.values())],
        )

    def median(self, measure: str, contender: str) -> float | None:
        """None for what was not measured."""
        return self.medians.get(measure, {}).get(contender)

    def who_has(self, *measures: str) -> list[str]:
        """The contenders of whom all of these were measured."""
        return [name for name in self.contenders if all(name in self.medians.get(m, {}) for m in measures)]


def merged(runs: Sequence[Json]) -> Json:
    """What several runs measured, as if one had. Of what two measured, the last counts."""
    return {
        "about": {**runs[0]["about"], "options": [run["about"]["options"] for run in runs]},
        "measures": list({measure["name"]: measure for run in runs for measure in run["measures"]}.values()),
        "ceilings": list({ceiling["name"]: ceiling for run in runs for ceiling in run["ceilings"]}.values()),
    }


def read(paths: Sequence[Path]) -> Json:
    return merged([json.loads(path.read_text(encoding="utf-8")) for path in paths])
