"""The numbers of README.md and results/README.md are those of the committed tables, and none is typed."""

import importlib
import re
import statistics
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / ".docs"))
results, quantities = importlib.import_module("results"), importlib.import_module("quantities")
RUN = pd.DataFrame(
    {
        "pair": ["p-1", "p-1", "p-2", "p-2"],
        "path": ["line", "bezier"] * 2,
        "t": [0.30000000000000004] * 4,
        "barrier": [1.6161, 0.02, 1.7462, 0.04],
        "start": [0.5, 0.5, 0.2, 0.2],
        "end": [0.1, 0.1, 0.3, 0.3],
        "max": [2.0, 0.75, 2.5, 0.4],
        "spread": [0.1, 0.2, np.nan, 0.4],
    }
)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Texts and a run of its own: `write(text, table)` writes the only page and the run's summary."""
    texts, reference = tmp_path / "texts", tmp_path / "reference"
    (reference / "my-run").mkdir(parents=True)
    texts.mkdir()
    monkeypatch.setattr(results, "TEXTS", texts)
    monkeypatch.setattr(results, "REFERENCE", reference)
    monkeypatch.setattr(results, "PAGES", ("page.md",))

    def write(text, table=RUN, facts="[published]\n"):
        (texts / "page.md").write_text(text, "utf-8")
        (texts / "facts.toml").write_text(facts, "utf-8")
        table.to_csv(reference / "my-run" / "summary.csv", index=False)
        record = '{"config": {"epochs": 15, "curves": [{"kind": "bezier", "lr": 0.1}]}, "seconds": {"a": 1.5, "b": 2}}'
        (reference / "my-run" / "run.json").write_text(record)
        quantities._table.cache_clear()
        results._render.cache_clear()
        return results.page("page.md")

    yield write
    quantities._table.cache_clear()
    results._render.cache_clear()


@pytest.mark.parametrize("name", results.PAGES)
def test_a_page_has_the_numbers_of_the_tables(name):
    assert (ROOT / name).read_text("utf-8") == results.page(name), "edit .docs/texts, run `python .docs/results.py`"


@pytest.mark.parametrize("name", results.PAGES)
def test_no_number_of_a_page_is_typed(name):
    assert not results.typed_numbers(name), "write an expression, or add a fact with its source to facts.toml"


def test_every_fact_is_stated_somewhere():
    assert not results.unused_facts()


def test_comments_of_configs_hold_no_results():
    for config in (ROOT / "configs").glob("*.toml"):
        comments = "\n".join(re.findall(r"^#.*", config.read_text("utf-8"), re.MULTILINE))
        assert not re.search(r"\d %|\d nats|\d\.\d", comments), f"results belong in results/README.md: {config.name}"


def test_a_number_changes_with_its_table(site):
    text = 'It rises by {{ my_run.summary("barrier", path="line") | span(2) }} nats.\n'
    assert site(text) == "It rises by 1.62 to 1.75 nats.\n"
    assert site(text, RUN.assign(barrier=3.0)) == "It rises by 3.00 nats.\n"


def test_formats_show_what_they_say(site):
    barrier = [1.6161, 1.7462]
    shown = {
        'my_run.summary("barrier", path="line") | mean_std(3)': (
            f"{statistics.mean(barrier):.3f} ± {statistics.stdev(barrier):.3f}"
        ),
        'my_run.summary("barrier", path="line") | listed(1)': "1.6 and 1.7",
        'my_run.summary("barrier", path="line", pair="p-1") | fixed(1)': "1.6",
        'my_run.summary("barrier", path="line") | at_most(1)': "1.8",
        'my_run.summary("barrier", pair="p-1", path=["line", "bezier"]).mean() | nats': "0.818",
        'my_run.summary("barrier", path="bezier").min() | nats': "0.0200",
        '(my_run.summary("max", path="line") * 1000) | listed': "2,000 and 2,500",
        '(1 - my_run.summary("max", path="line")) | span(1, "+")': "-1.5 to -1.0",
        'my_run.summary("t", t=0.3) | common(1)': "0.3",
        'my_run.setting("epochs")': "15",
        'my_run.setting("curves", "bezier", "lr")': "0.1",
        "my_run.seconds() | fixed(1)": "3.5",
        'ratio(my_run, "max", "bezier", "line") | percent | listed(1)': "37.5 and 16.0",
        'above_worse_end(my_run, path="line") | listed(1)': "1.5 and 2.2",
    }
    for expression, text in shown.items():
        assert site(f"{{{{ {expression} }}}}\n").strip() == text, expression


def test_it_rounds_the_digits_that_the_table_shows(site):
    table = RUN.assign(barrier=[44.15, 43.05, 11.57, 0.07])
    assert site('{{ my_run.summary("barrier") | listed(1) }}\n', table).strip() == "44.2, 43.1, 11.6 and 0.1"
    assert site('{{ (my_run.summary("barrier", path="bezier") * 2).max() | at_most(1) }}\n', table).strip() == "86.1"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            'my_run.summary("barrier", path="chain") | span',
            r"my-run.summary\('barrier', path='chain'\): no row with",
        ),
        ('my_run.summary("barrier", path="line") | fixed', "one value needed, got .* of my-run.summary"),
        ('my_run.summary("barier", path="line") | span', r"summary\('barier', path='line'\): no column barier"),
        ('my_run.summary("barrier", group="line") | span', "no column group"),
        ('my_run.summary("spread") | span', r"summary\('spread'\): an empty cell"),
        ('my_run.summary("barrier") | common', "one value needed"),
        ('(my_run.summary("max", path="line") / my_run.summary("max", pair="p-1")) | span', "do not belong"),
        ('my_run.setting("curves", "chain", "lr")', "no 'chain' in"),
        ('my_run.paths("t") | span', "paths.csv"),
        ("other_run.summary | span", "'other_run' is undefined"),
        ("1.62 | fixed(2)", "1.62 does not come from a table"),
        ('claim(my_run.summary("max").max() < 2, "small")', "the tables do not say: small"),
    ],
)
def test_a_wrong_expression_is_refused(site, expression, message):
    with pytest.raises(Exception, match=message) as raised:
        site(f"Words.\n\nThe line: {{{{ {expression} }}}}\n")
    assert raised.value.__notes__ == ["in .docs/texts/page.md, in or after line 3"]


def test_typed_numbers_are_found(site):
    facts = '[published]\n"A paper" = ["7.4 against 11.1 %", "never stated 5"]\n'
    site(
        "ResNet-20 and mlp-2x128 (Li et al. 2018, figures 2 and 3) at 7.4 against 11.1 %, `--scale=2`, [a](b-3.png):\n"
        '**1.62 nats**, {{ my_run.summary("barrier").max() | fixed(2) }}, {{ "1.63" }}, '
        '{{ my_run.summary("barrier").max() }} {% for n in ["64"] %}{{ n }} units{% endfor %}\n',
        facts=facts,
    )
    found = [re.search(r"\d[\d.]*", text[-25:])[0] for text in results.typed_numbers("page.md")]
    assert len(found) == 4
    assert all(
        any(number in text for text in results.typed_numbers("page.md")) for number in ("1.62", "1.63", "1.7462", "64")
    )
    assert results.unused_facts() == ["never stated 5"]


def test_a_paragraph_is_wrapped_and_nothing_else(site):
    kept = ["# Title", "| a | b |\n| --- | --- |\n| " + "x " * 90 + "| 2 |", "```\n" + "y " * 90 + "\n\n\nz\n```"]
    *before, paragraph = site("\n\n".join([*kept, "word " * 60])).rsplit("\n\n", 1)
    assert before == ["\n\n".join(kept)]
    lines = paragraph.splitlines()
    assert len(lines) == 3
    assert all(len(line) <= results.WIDTH for line in lines)
    assert " ".join(lines).split() == ["word"] * 60


def _surfaces(folder, x, loss):
    pd.DataFrame({"name": "a", "surface": "s", "x": x, "train_loss": loss}).to_csv(folder / "surfaces.csv", index=False)
    quantities._table.cache_clear()
    return quantities.Run(folder)


def test_half_the_width_of_a_parabola_is_the_root_of_the_level(tmp_path):
    x = np.linspace(-1, 1, 2001)
    run = _surfaces(tmp_path, x, (x - 0.1) ** 2 * 9)
    assert quantities.half_width(run, 1, "s", ["a"])["a"] == pytest.approx(1 / 3, abs=1e-6)
    with pytest.raises(LookupError, match="does not cross 8"):
        quantities.half_width(run, 8, "s", ["a"])


def test_a_share_of_a_surface_counts_its_points(tmp_path):
    run = _surfaces(tmp_path, [0, 1, 2, 3], [0.2, 0.99, 1.0, 4.0])
    assert quantities.share_below(run, 1, "s", ["a"]).tolist() == [50]


def test_a_rescored_barrier_is_measured_from_the_line_between_the_ends(tmp_path):
    rows = {"path": ["ends", "ends", "line", "line"], "t": [0, 1, 0.25, 0.5], "train_loss": [1.0, 2.0, 3.0, 3.1]}
    pd.DataFrame(rows).to_csv(tmp_path / "rescored.csv", index=False)
    quantities._table.cache_clear()
    assert quantities.rescored_barrier(quantities.Run(tmp_path), "line") == pytest.approx(3.0 - 1.25)
