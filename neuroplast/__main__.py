"""``python -m neuroplast``: the command line."""

from neuroplast.cli import app

app(prog_name="neuroplast")
