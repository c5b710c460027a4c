"""Tasks: the closed loop, in trials. Declarative ones run inside every target; Python ones where Python can be called."""

from neuroplast.tasks.python import Environment, GymnasiumEnvironment, PythonTask, gymnasium_task
from neuroplast.tasks.reach import Reach
from neuroplast.tasks.regression import Regression
from neuroplast.tasks.task import OpenLoop, Task
from neuroplast.tasks.track import TrackTarget

__all__ = [
    "Environment", "GymnasiumEnvironment", "OpenLoop", "PythonTask", "Reach", "Regression", "Task", "TrackTarget", "gymnasium_task",
]
