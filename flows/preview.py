"""Preview: a look at a job before it is run (`maft preview`, and a deployment)."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from agents.preview.records import Preview
from infra.config.job import Config
from infra.operation.flow_run import society_tag, tag_run
from tasks.preview import look_ahead, publish_preview


@flow(name="preview", flow_run_name="{config.society} · preview")
def preview(config: Config, problems: Annotated[int, Field(ge=1)] | None = None) -> Preview:
    """Debate over a few training problems of a job, and show what the whole job is expected to take.

    Nothing is trained for good, registered or promoted.
    """
    tag_run(society_tag(config.society))
    found = look_ahead(config, problems)
    publish_preview(found)
    return found
