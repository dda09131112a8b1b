"""``python -m bench.comparison.publish <results.json>…``: the figures of a run into README, with plots.

Several runs that measured different things become one. What is shown is kept in docs/figures.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.comparison import markdown, plots
from bench.comparison.run import Json, Run, read

CHECKOUT = Path(__file__).resolve().parents[2]
BEGIN = "<!-- figures: from docs/figures/comparison.json, by bench/comparison/publish.py -->"
END = "<!-- figures end -->"

_ALTERNATIVES = {
    "bench-rates.png": "Emails per second of each",
    "bench-cpu.png": "CPU-seconds per 1,000 emails of each, by process",
    "bench-critical.png": "How long a critical email takes to the provider, with each",
    "bench-sizes.png": "What an email costs, by how many wait",
    "bench-recovery.png": "Seconds until each is back at work after its broker was killed",
}


def publish(results: Sequence[Path], checkout: Path = CHECKOUT) -> list[Path]:
    """The paths of what was written."""
    written = read(results)
    kept = checkout / "docs/figures/comparison.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    drawn = plots.draw(Run.of(written), checkout / "docs/images")
    readme = checkout / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(with_figures(text, section(written)), encoding="utf-8")
    return [kept, *drawn, readme]


def section(written: Json) -> str:
    """What stands between BEGIN and END."""
    run = Run.of(written)
    rounds = "one round" if run.rounds == 1 else f"medians of {run.rounds} rounds"
    about = f"{run.about['store']} on {run.about['machine']}; {rounds}."
    images = [f"![{_ALTERNATIVES[name]}](docs/images/{name})" for name in plots.names_of(run)]
    return "\n\n".join([about, *images, markdown.table(run)])


def with_figures(readme: str, figures: str) -> str:
    """Raises ValueError where there is no place for them."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}"


def main() -> None:
    for path in publish([Path(path) for path in sys.argv[1:]]):
        print(path)


if __name__ == "__main__":
    main()
