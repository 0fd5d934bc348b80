"""The registry of training methods; each method has its own file in this folder."""

from agents.training.settings import FinetuneSettings
from evaluation.registry import Registry

METHODS: Registry[type[FinetuneSettings]] = Registry("training method", __name__)
