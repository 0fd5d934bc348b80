"""The training methods that there are: one file of this folder for each."""

from agents.training.settings import FinetuneSettings
from evaluation.registry import Registry

METHODS: Registry[type[FinetuneSettings]] = Registry("training method", __name__)
