"""The task of a project, as its data states it."""

from burnish.data.dataset import load_examples
from burnish.data.task import task_of
from burnish.loop.project import Project
from burnish.records import Task


def task_of_project(project: Project) -> Task:
    """The task that all examples state; who asks often keeps it, for each is read. Raises DataError without data."""
    return task_of(list(load_examples(project.store)), project.settings)
