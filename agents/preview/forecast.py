"""The forecast of a job, from a sample of its problems: plain arithmetic.

In the following, n is the number of problems in the sample, P that of an iteration, E that of an evaluation, L the
number of iterations and V that of evaluations: one of the generation that the job starts from, one of each new one, and
one of the champion, if that is another generation.

sampled tokens     tokens of the sample / n x (L P + V E)
generate, debate   (seconds of the debate + seconds of vote, split and scores) / n x L P
evaluate           the same / n x V E
trained tokens     tokens of the sample's examples / n x L P x epochs
service            the same tokens, of the agents at a service alone, with the service's epochs
finetune           L x seconds to start a training + trained tokens / trained tokens per second
start              START x seconds to start Python with Prefect and MLflow + seconds to load the base models
register           REGISTER x seconds to start Python with Prefect and MLflow x (L + 1)
examples           examples of the sample / n x P
memory             the larger of the peak before the training, when all agents are decoded in one batch, and the peak
                   after it, when each agent has a batch of its own; to each is added the memory of the prompts that
                   the job decodes at once beyond those of the sample; for the process, + JOB_BYTES
disk               L x (COPIES x adapters + local base models + GENERATION_BYTES)
                   + stored frames of the sample / n x (L P + V E) + HOME_BYTES

So the agents are taken to speak as much after finetuning as before, and the problems to be like those of the sample.
START and REGISTER are multiples of a time that is measured beside the sample, so that they hold on a slow or busy
machine too.
"""

from agents.hosted.spending import Tokens
from agents.preview.records import Forecast, Sample, Stage
from evaluation.record import Record

START = 4.0
"""Starting two servers and connecting to them, in starts of Python with Prefect and MLflow."""
REGISTER = 1.0
"""Tasks, MLflow runs and models of one generation, in starts of Python with Prefect and MLflow."""
JOB_BYTES = 300_000_000
"""Memory of the libraries that a job uses and a preview does not: Prefect, MLflow and matplotlib."""
COPIES = 3
"""Copies of an adapter: in the store, as a registered model, and in the registered society."""
GENERATION_BYTES = 5_000_000
"""Files of a generation in MLflow other than weights: code, tables, debates."""
HOME_BYTES = 20_000_000
"""Databases and web pages of the two servers."""


FEWEST = 20
"""With fewer problems, the number of examples is too uncertain. From 13 of 40 problems, twice as many as the job had
were expected, since a critic without a self-correction keeps all its other examples (`agents.split.mix`)."""


class Plan(Record):
    """The size of a job."""

    iterations: int
    training: int
    """Problems of one iteration."""
    held_out: int
    """Problems of one evaluation."""
    evaluations: int
    agents: int
    """N: so many generators, and as many critics."""
    epochs: int
    service_epochs: int
    """Epochs of the agents at a service."""
    batch_rows: int
    base_bytes: int
    """Size of the base models that are copied into each registered society; those of a hub are not."""
    on_gpu: bool
    """Whether the sample's peak memory is that of a GPU."""

    @property
    def trained_problems(self) -> int:
        """Problems that agents learn from, each time counted."""
        return self.iterations * self.training

    @property
    def evaluated_problems(self) -> int:
        """Problems that generations are measured on, each time counted."""
        return self.evaluations * self.held_out

    @property
    def tuned_rows(self) -> int:
        """Prompts of one agent that are decoded at once, at most."""
        return min(self.batch_rows, max(self.training, self.held_out))

    @property
    def rows(self) -> int:
        """Prompts of all agents that are decoded at once, at most; so are those of agents without adapters."""
        return min(self.batch_rows, self.agents * max(self.training, self.held_out))


def usual_problems(training: int, *, agents: int, batch_rows: int) -> int:
    """As many problems as fill a batch of one agent of the job with the responses of all agents, at least FEWEST.

    Args:
        training: the number of the job's training problems, which are all taken if they are fewer.
        agents: N.
        batch_rows: prompts that are decoded at once, at most.
    """
    return min(training, max(FEWEST, min(batch_rows, training) // agents))


def forecast(plan: Plan, sample: Sample, library_seconds: float) -> Forecast:
    """The forecast of a whole job.

    Args:
        plan: the job.
        sample: what was measured on some of its problems.
        library_seconds: time to start Python with Prefect and MLflow.
    """
    debates = plan.trained_problems + plan.evaluated_problems
    trained = sample.trained_tokens / sample.problems * plan.trained_problems * plan.epochs
    seconds = stages(plan, sample, trained_tokens=trained, library_seconds=library_seconds)
    peak = peak_bytes(plan, sample)
    by_service = sample.service.trained / sample.problems * plan.trained_problems * plan.service_epochs
    return Forecast(
        seconds=seconds,
        total_seconds=sum(seconds.values()),
        prompt_tokens=round(sample.prompt_tokens / sample.problems * debates),
        sampled_tokens=round(sample.sampled_tokens / sample.problems * debates),
        trained_tokens=round(trained + by_service),
        service=Tokens(
            prompt=round(sample.service.prompt / sample.problems * debates),
            sampled=round(sample.service.sampled / sample.problems * debates),
            trained=round(by_service),
        ),
        debates=debates,
        examples={name: round(size / sample.problems * plan.training) for name, size in sample.examples.items()},
        memory_bytes=JOB_BYTES + (sample.process_peak_bytes if plan.on_gpu else peak),
        device_memory_bytes=peak if plan.on_gpu else None,
        disk_bytes=disk_bytes(plan, sample),
    )


def stages(plan: Plan, sample: Sample, *, trained_tokens: float, library_seconds: float) -> dict[Stage, float]:
    """The seconds of each stage of a job that trains on so many tokens."""
    each = (sample.debate_seconds + sample.grading_seconds) / sample.problems
    tuning = 0.0
    if sample.training_speed:
        tuning = plan.iterations * sample.training_start_seconds + trained_tokens / sample.training_speed
    return {
        "start": START * library_seconds + sample.load_seconds,
        "generate and debate": each * plan.trained_problems,
        "finetune": tuning,
        "evaluate": each * plan.evaluated_problems,
        "register": REGISTER * library_seconds * (plan.iterations + 1),
    }


def peak_bytes(plan: Plan, sample: Sample) -> int:
    """The peak memory of the device that computes."""
    more = max(0, plan.rows - sample.rows)
    tuned = max(0, plan.tuned_rows - sample.problems)
    return max(sample.sampling_peak_bytes + more * sample.row_bytes, sample.tuned_peak_bytes + tuned * sample.row_bytes)


def disk_bytes(plan: Plan, sample: Sample) -> int:
    """What the job adds to the home."""
    generation = COPIES * sample.adapter_bytes + plan.base_bytes + GENERATION_BYTES
    frames = sample.frame_bytes / sample.problems * (plan.trained_problems + plan.evaluated_problems)
    return round(plan.iterations * generation + frames) + HOME_BYTES
