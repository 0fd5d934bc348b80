"""Automations of the Prefect server: they start lost runs again, once, and report failures, promotions, regressions.

python -m infra.operation.automations       # registers them with the server at PREFECT_API_URL
"""

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from infra.errors import UserError
from infra.operation.environment import HEARTBEAT_SECONDS

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

POOL = "maft"
"""The work pool of maft's runs."""

OURS = {"prefect.resource.role": "work-pool", "prefect.resource.name": POOL}

FLOWS = ["improve", "iterate", "nightly", "evaluate", "pretrain", "benchmark", "method", "match"]
"""The flows that send heartbeats: the deployed flows and their subflows."""

SILENCE = timedelta(seconds=4 * HEARTBEAT_SECONDS)
"""A run without a heartbeat for this long counts as dead.

`infra.operation.worker` marks the runs of an ended worker as crashed by itself, so this matters only for runs whose
machine went down and for `maft run`. The time is long because a training job can delay heartbeats, and a run that
still lives must not be started a second time.
"""

QUIET = timedelta(seconds=15)
"""Time from a crash to the new start.

If only the run's process died, the worker reports the crash twice, seconds apart; without this pause, the second report
would mark the new attempt as crashed.
"""

MEMORY = timedelta(days=7)
"""The period in which the crashes of a run are counted."""

WEBHOOK_VARIABLE = "MAFT_WEBHOOK_URL"
WEBHOOK_BLOCK = "maft-webhook"

SILENT, AGAIN, HOPELESS, FAILURE, SOCIETY = (
    "maft: a silent run has crashed",
    "maft: a crashed run starts again, once",
    "maft: a run that crashes before it runs has failed",
    "maft: tell of a failure",
    "maft: tell of a promotion or a regression",
)


def names() -> set[str]:
    """The names of the automations to register; two of them only if MAFT_WEBHOOK_URL is set."""
    lost = {SILENT, AGAIN, HOPELESS}
    return {*lost, FAILURE, SOCIETY} if webhook_url() else lost


def webhook_url() -> str | None:
    """MAFT_WEBHOOK_URL; None if unset or empty.

    Raises:
        UserError: it is not an http:// or https:// address. The message leaves out the value, which is a secret.
    """
    url = os.environ.get(WEBHOOK_VARIABLE, "").strip()
    if url and not url.startswith(("http://", "https://")):
        raise UserError(f"{WEBHOOK_VARIABLE} is not an http:// or https:// address; set it to one, or unset it")
    return url or None


def lost_runs(silence: timedelta = SILENCE) -> "list[AutomationCore]":
    """The automations that mark a run without heartbeats as crashed, and start a crashed run again, once.

    Args:
        silence: time without a heartbeat after which a run counts as dead.
    """
    return [_crash_silent(silence), _start_again(), _give_up()]


def _crash_silent(silence: timedelta) -> "AutomationCore":
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    return AutomationCore(
        name=SILENT,
        description=f"No heartbeat for {silence.total_seconds():.0f} s: the process of this run is gone.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={"prefect.resource.role": "flow", "prefect.resource.name": FLOWS},
            for_each={"prefect.resource.id"},
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.*"},
            threshold=1,
            within=silence,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, name="Crashed", message="No heartbeat: the process of this run is gone."
            )
        ],
    )


def _start_again() -> "AutomationCore":
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    return AutomationCore(
        name=AGAIN,
        description="A deployment's run whose process died continues where it stopped. A second crash is final.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            match={"prefect.resource.id": "prefect.flow-run.*", "prefect.run-count": ["0", "1"]},
            match_related=OURS,
            for_each={"prefect.resource.id"},
            after={"prefect.flow-run.Crashed"},
            expect={"prefect.flow-run.*"},
            threshold=1,
            within=QUIET,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.SCHEDULED, name="AwaitingRetry", message="Crashed; will continue where it stopped."
            )
        ],
    )


def _give_up() -> "AutomationCore":
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    return AutomationCore(
        name=HOPELESS,
        description="Prevents an endless loop: an attempt that ends before it runs does not raise the run count.",
        trigger=EventTrigger(
            posture=Posture.Reactive,
            match={"prefect.resource.id": "prefect.flow-run.*", "prefect.run-count": ["0", "1"]},
            match_related=OURS,
            for_each={"prefect.resource.id"},
            expect={"prefect.flow-run.Crashed"},
            threshold=2,
            within=MEMORY,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.FAILED, name="Failed", message="Crashed again before it could run: see worker.log."
            )
        ],
    )


def notifications(block: UUID, ui_url: str) -> "list[AutomationCore]":
    """The automations that POST a JSON object to the webhook: on a failure, second crash, promotion or regression.

    Args:
        block: the Webhook block that holds the address.
        ui_url: address of the Prefect UI, for the link to the run.
    """
    from prefect.events.actions import CallWebhook
    from prefect.events.schemas.automations import AutomationCore, CompoundTrigger, EventTrigger, Posture

    run = (
        '{"what": {{ event.event.split(".")[-1] | lower | tojson }}, '
        '"run": {"name": {{ flow_run.name | tojson }}, "url": "' + ui_url + '/runs/flow-run/{{ flow_run.id }}"}, '
        '"text": {{ (flow_run.state.message or "") | string | tojson }}}'
    )
    society = (
        '{"what": {{ event.event.split(".")[-1] | tojson }}, '
        '"society": {{ event.resource.id.split(".")[-1] | tojson }}, '
        '"generation": {{ event.payload.generation | tojson }}, "version": {{ event.payload.version | tojson }}, '
        '"text": {{ event.payload.text | tojson }}}'
    )
    return [
        AutomationCore(
            name=FAILURE,
            description="A run failed, or crashed for the second time.",
            trigger=CompoundTrigger(
                require="any",
                triggers=[
                    EventTrigger(
                        posture=Posture.Reactive,
                        match={"prefect.resource.id": "prefect.flow-run.*", **labels},
                        match_related=OURS,
                        expect=events,
                    )
                    for events, labels in [
                        ({"prefect.flow-run.Failed", "prefect.flow-run.TimedOut"}, {}),
                        ({"prefect.flow-run.Crashed"}, {"prefect.run-count": ["[2-9]", "[1-9]*[0-9]"]}),
                    ]
                ],
                within=None,
            ),
            actions=[CallWebhook(block_document_id=block, payload=run)],
        ),
        AutomationCore(
            name=SOCIETY,
            description="The champion of a society moved, or a night made it worse.",
            trigger=EventTrigger(
                posture=Posture.Reactive,
                match={"prefect.resource.id": "maft.society.*"},
                expect={"maft.promoted", "maft.regressed"},
            ),
            actions=[CallWebhook(block_document_id=block, payload=society)],
        ),
    ]


def put(client: "SyncPrefectClient", automation: "AutomationCore") -> None:
    """Create the automation, or update the one of the same name if it differs; one that is switched off stays off."""
    existing = client.read_automations_by_name(automation.name)
    if not existing:
        client.create_automation(automation)
        return
    wanted = automation.model_copy(update={"enabled": existing[0].enabled})
    fields = {"description", "trigger", "actions"}
    if existing[0].model_dump(include=fields) != wanted.model_dump(include=fields):
        client.update_automation(existing[0].id, wanted)
    for double in existing[1:]:
        client.delete_automation(double.id)


def main() -> None:
    """Bring the automations of the server in line with this module and with MAFT_WEBHOOK_URL."""
    from prefect.blocks.webhook import Webhook
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import get_current_settings
    from pydantic import SecretStr

    url = webhook_url()
    with get_client(sync_client=True) as client:
        for automation in lost_runs():
            put(client, automation)
        if url:
            headers: Any = {"Content-Type": "application/json"}
            block = Webhook(method="POST", url=SecretStr(url), headers=headers)
            ui_url = (get_current_settings().api.url or "").removesuffix("/api")
            for automation in notifications(block.save(WEBHOOK_BLOCK, overwrite=True), ui_url):  # type: ignore[arg-type]
                put(client, automation)
            return
        for name in (FAILURE, SOCIETY):
            for left in client.read_automations_by_name(name):
                client.delete_automation(left.id)
        try:
            document = client.read_block_document_by_name(WEBHOOK_BLOCK, "webhook")
            client.delete_block_document(document.id)
        except ObjectNotFound:
            pass


if __name__ == "__main__":
    main()
