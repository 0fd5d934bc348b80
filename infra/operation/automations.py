"""Automations of the Prefect server: they start lost runs again, once; `infra.operation.notices` has those that tell.

python -m infra.operation.automations       # registers them with the server at PREFECT_API_URL
"""

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from infra.operation import notices
from infra.operation.environment import HEARTBEAT_SECONDS
from infra.operation.notices import OURS
from infra.operation.prefect_api import connect

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

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

SILENT, AGAIN, HOPELESS = (
    "maft: a silent run has crashed",
    "maft: a crashed run starts again, once",
    "maft: a run that crashes before it runs has failed",
)


def names(told: bool) -> set[str]:
    """The names of the automations to register.

    Args:
        told: whether anybody is to be told of what happens.
    """
    return {SILENT, AGAIN, HOPELESS} | (notices.NAMES if told else set())


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
    """Bring the server's automations in line with this project, MAFT_WEBHOOK_URL and the notification blocks."""
    from prefect.client.orchestration import get_client
    from prefect.settings import get_current_settings

    from infra.operation.apprise_block import AppriseAddress

    api_url = str(get_current_settings().api.url)
    AppriseAddress.register_type_and_schema()
    with connect(api_url) as api:
        blocks = [UUID(block) for block in notices.notification_blocks(api)]
    with get_client(sync_client=True) as client:
        channels = notices.Channels(_webhook(client), blocks)
        told = notices.notices(channels, api_url.removesuffix("/api")) if channels.webhook or blocks else []
        for automation in [*lost_runs(), *told]:
            put(client, automation)
        for name in notices.NAMES - {automation.name for automation in told}:
            for left in client.read_automations_by_name(name):
                client.delete_automation(left.id)


def _webhook(client: "SyncPrefectClient") -> UUID | None:
    """Bring the block with the secret address in line with MAFT_WEBHOOK_URL; its id, if there is an address."""
    from prefect.blocks.webhook import Webhook
    from prefect.exceptions import ObjectNotFound
    from pydantic import SecretStr

    if url := notices.webhook_url():
        headers: Any = {"Content-Type": "application/json"}
        block = Webhook(method="POST", url=SecretStr(url), headers=headers)
        saved: Any = block.save(notices.WEBHOOK_BLOCK, overwrite=True)
        return UUID(str(saved))
    with suppress(ObjectNotFound):
        document = client.read_block_document_by_name(notices.WEBHOOK_BLOCK, "webhook")
        client.delete_block_document(document.id)
    return None


if __name__ == "__main__":
    main()
