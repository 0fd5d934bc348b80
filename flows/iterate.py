"""Iterate: one iteration of Algorithm 1 with cached steps, in a flow run of its own."""

from prefect import flow

from agents import algorithm

named = flow(name="iterate", flow_run_name="{run.name} · iteration {generation}", validate_parameters=False)
iterate = named(algorithm.iterate)
