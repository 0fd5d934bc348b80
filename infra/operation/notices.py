"""Automations that tell people of a failure, a missed night, a promotion or a regression.

They POST a JSON object to MAFT_WEBHOOK_URL, if it is set, and send a text by every notification block of the Prefect
server that is named `maft`: Slack, Microsoft Teams, e-mail and others. Without either, there are no such automations.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx

from infra.errors import UserError

if TYPE_CHECKING:
    from prefect.events.schemas.automations import AutomationCore, TriggerTypes

POOL = "maft"
"""The work pool of maft's runs."""

OURS = {"prefect.resource.role": "work-pool", "prefect.resource.name": POOL}
NIGHTLY = {"prefect.resource.role": "flow", "prefect.resource.name": "nightly"}

WEBHOOK_VARIABLE = "MAFT_WEBHOOK_URL"
WEBHOOK_BLOCK = "maft-webhook"
BLOCK = "maft"
"""The name of the notification blocks that are used; there may be one of each type."""

LATE = timedelta(minutes=15)
"""A night that has not begun this long after its time is told of as missed; it begins when a worker is up."""

FAILURE, SKIPPED, LATE_NIGHT, SOCIETY = (
    "maft: tell of a failure",
    "maft: tell of a night that was skipped",
    "maft: tell of a night that does not begin",
    "maft: tell of a promotion or a regression",
)
NAMES = {FAILURE, SKIPPED, LATE_NIGHT, SOCIETY}


HAPPENED = '{{ event.event.split(".")[-1] | lower }}'
"""A template: the last word of the event's name, such as failed or promoted."""


@dataclass(frozen=True)
class Channels:
    """Who is told: the id of the webhook's block, if there is one, and the ids of notification blocks."""

    webhook: UUID | None
    blocks: Sequence[UUID]


def webhook_url() -> str | None:
    """MAFT_WEBHOOK_URL; None if unset or empty.

    Raises:
        UserError: it is not an http:// or https:// address. The message leaves out the value, which is a secret.
    """
    url = os.environ.get(WEBHOOK_VARIABLE, "").strip()
    if url and not url.startswith(("http://", "https://")):
        raise UserError(f"{WEBHOOK_VARIABLE} is not an http:// or https:// address; set it to one, or unset it")
    return url or None


def notification_blocks(api: httpx.Client) -> list[str]:
    """The ids of the server's notification blocks that are named `maft`, in a fixed order."""
    query = {
        "block_documents": {"name": {"any_": [BLOCK]}},
        "block_schemas": {"block_capabilities": {"all_": ["notify"]}},
    }
    return sorted(each["id"] for each in api.post("/block_documents/filter", json=query).json())


def notices(channels: Channels, ui_url: str, late: timedelta = LATE) -> "list[AutomationCore]":
    """The automations that tell of what happened.

    Args:
        channels: who is told.
        ui_url: address of the Prefect UI, for the link to the run.
        late: the time after which a night that does not begin is told of.
    """
    return [*_about_runs(channels, ui_url, late), _about_societies(channels, ui_url)]


def _about_runs(channels: Channels, ui_url: str, late: timedelta) -> "list[AutomationCore]":
    from prefect.events.schemas.automations import AutomationCore, CompoundTrigger, EventTrigger, Posture

    def tell(what: str, text: str) -> list[Any]:
        """Actions that tell of a flow run; both are templates, for a text."""
        run = '{"name": {{ flow_run.name | tojson }}, "url": "' + page + '"}'
        payload = f'{{"what": {_quoted(what)}, "run": {run}, "text": {_quoted(text)}}}'
        return _actions(channels, payload, "maft: {{ flow_run.name }}: " + what, f"{text}\n{page}")

    page = ui_url + "/runs/flow-run/{{ flow_run.id }}"
    message = '{{ flow_run.state.message or "" }}'
    failed = [
        ({"prefect.flow-run.Failed", "prefect.flow-run.TimedOut"}, {}),
        ({"prefect.flow-run.Crashed"}, {"prefect.run-count": ["[2-9]", "[1-9]*[0-9]"]}),
    ]
    return [
        AutomationCore(
            name=FAILURE,
            description="A run failed, or crashed for the second time.",
            trigger=CompoundTrigger(
                require="any",
                triggers=[_of_run(events, OURS, **labels) for events, labels in failed],
                within=None,
            ),
            actions=tell(HAPPENED, message),
        ),
        AutomationCore(
            name=SKIPPED,
            description="A night was cancelled, since another run of its society was at work, or by hand.",
            trigger=_of_run({"prefect.flow-run.Cancelled"}, NIGHTLY),
            actions=tell("skipped", message),
        ),
        AutomationCore(
            name=LATE_NIGHT,
            description="A night is due, but no worker begins it.",
            trigger=EventTrigger(
                posture=Posture.Proactive,
                match={"prefect.resource.id": "prefect.flow-run.*"},
                match_related=NIGHTLY,
                for_each={"prefect.resource.id"},
                after={"prefect.flow-run.Late"},
                expect={"prefect.flow-run.*"},
                threshold=1,
                within=late,
            ),
            actions=tell("late", "It is due, but no worker begins it; `maft up` starts one."),
        ),
    ]


def _about_societies(channels: Channels, ui_url: str) -> "AutomationCore":
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    return AutomationCore(
        name=SOCIETY,
        description="The champion of a society moved, or a night made it worse.",
        trigger=EventTrigger(
            posture=Posture.Reactive,
            match={"prefect.resource.id": "maft.society.*"},
            expect={"maft.promoted", "maft.regressed"},
        ),
        actions=_actions(
            channels,
            '{"what": {{ event.event.split(".")[-1] | tojson }}, '
            '"society": {{ event.resource.id.split(".")[-1] | tojson }}, '
            '"generation": {{ event.payload.generation | tojson }}, '
            '"version": {{ event.payload.version | tojson }}, "text": {{ event.payload.text | tojson }}}',
            'maft: {{ event.resource.id.split(".")[-1] }}: ' + HAPPENED,
            "{{ event.payload.text }}\n" + ui_url + "/artifacts",
        ),
    )


def _of_run(events: set[str], related: dict[str, str], **labels: Any) -> "TriggerTypes":
    from prefect.events.schemas.automations import EventTrigger, Posture

    return EventTrigger(
        posture=Posture.Reactive,
        match={"prefect.resource.id": "prefect.flow-run.*", **labels},
        match_related=related,
        expect=events,
    )


def _quoted(template: str) -> str:
    """A template of a text as a template of a JSON string."""
    if template.startswith("{{"):
        return "{{ (" + template.removeprefix("{{").removesuffix("}}") + ") | string | tojson }}"
    return json.dumps(template)


def _actions(channels: Channels, payload: str, subject: str, body: str) -> list[Any]:
    from prefect.events.actions import CallWebhook, SendNotification

    webhook = [CallWebhook(block_document_id=channels.webhook, payload=payload)] if channels.webhook else []
    return [
        *webhook,
        *(SendNotification(block_document_id=each, subject=subject, body=body) for each in channels.blocks),
    ]
