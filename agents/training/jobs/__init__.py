"""Finetuning at a service that takes files and jobs: conversations in, a job, the name of a model out."""
