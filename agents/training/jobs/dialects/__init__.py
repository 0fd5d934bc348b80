"""The registry of services that finetune by files and jobs; each dialect has its own file in this folder."""

from agents.training.jobs.protocol import Service
from evaluation.registry import Registry

DIALECTS: Registry[type[Service]] = Registry("finetuning service", __name__)
