"""The README's first script is examples/first.py, and it does what the README says."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_readme_shows_the_example() -> None:
    shown = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown is not None
    assert shown[1] == (ROOT / "examples" / "first.py").read_text()
    assert len(shown[1].splitlines()) < 40


def test_first_script_learns() -> None:
    names: dict[str, object] = {}
    text = (ROOT / "examples" / "first.py").read_text().replace("trials=500", "trials=150")
    exec(compile(text, "examples/first.py", "exec"), names)
    error = names["error"]
    assert error[-20:].mean() < 0.5 * error[:20].mean()  # type: ignore[index]
