"""The prompts of a society, the same for the embedded model and for any other.

The conversation of one agent over M rounds, the same in a debate and in finetuning:

    system     the system prompt, if there is one
    user       an example's question        for each example
    assistant  its response
    user       the question, after the agent's persona if it has one
    assistant  y_1
    user       the summary of the other agents' round 1, and the question again
    assistant  y_2
    ...

The base model writes each summary in a separate conversation, which has neither the system prompt nor the examples,
since both are about solving problems.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from agents.debate.messages import MAX_STEP_CHARS, MAX_STEPS
from agents.debate.placeholders import Placeholders, filled
from agents.engines.chat import Message
from evaluation.record import Record

MAX_PROMPT_CHARS = 6000
"""Length of the longest text of a prompt; MLflow shows params of up to this length whole."""
MAX_EXAMPLES = 16

Text = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARS)]
System = Annotated[Text, AfterValidator(Placeholders())]
Solve = Annotated[Text, AfterValidator(Placeholders(("question",)))]
Summarise = Annotated[Text, AfterValidator(Placeholders(("agents",), ("question",)))]
Debate = Annotated[Text, AfterValidator(Placeholders(("others",), ("question",)))]
Alone = Annotated[Text, AfterValidator(Placeholders((), ("question",)))]
Response = Annotated[Text, AfterValidator(Placeholders(("response",), ("number",)))]


class SolvedExample(Record):
    """A question and a good response to it, which an agent reads before its own question."""

    question: Text = Field(title="Question")
    response: Text = Field(title="Response")


Examples = Annotated[tuple[SolvedExample, ...], Field(max_length=MAX_EXAMPLES)]


class Prompts(Record):
    """The texts of all prompts, with the placeholders of `agents.debate.placeholders`, and the messages made of them.

    Raises:
        pydantic.ValidationError: a text is too long, or its placeholders are wrong; there are too many examples.
    """

    system: System | None = None
    """The first message of an agent's conversations."""
    solve: Solve = "Solve the problem step by step and end with the answer in \\boxed{}.\n\n{question}"
    """Round 1, and the question of an example."""
    summarise: Summarise = "Summarise the main steps and the answer of each agent.\n\nProblem: {question}\n\n{agents}"
    """The request for a summary of what the other agents answered in the previous round."""
    summarise_json: Summarise = (
        "Give the answer and the main steps of each agent as JSON and nothing else: an entry for each agent "
        f"in order, an answer or null, at most {MAX_STEPS} steps of at most {MAX_STEP_CHARS} characters.\n"
        '{"agents": [{"answer": "...", "steps": ["...", "..."]}]}\n\n'
        "Problem: {question}\n\n{agents}"
    )
    """The same request where messages are JSON, which `agents.debate.messages` reads."""
    debate: Debate = (
        "Other agents answered:\n{others}\n\n"
        "With this as advice, check your steps, solve the problem again and end with the answer in \\boxed{}."
        "\n\n{question}"
    )
    """Rounds 2..M."""
    alone: Alone = (
        "No other agent answered. Check your steps, solve the problem again and end with the answer in \\boxed{}."
        "\n\n{question}"
    )
    """Rounds 2..M of an agent that reads nobody."""
    response: Response = "Agent {number}: {response}"
    """One response in a list of responses."""
    examples: Examples = ()
    """Solved examples, read before the question."""

    def opening(self, question: str, persona: str | None = None) -> list[Message]:
        """The messages before an agent's first response: the system prompt, the examples and the question."""
        messages: list[Message] = [{"role": "system", "content": self.system}] if self.system is not None else []
        for example in self.examples:
            messages += [self.first(example.question), {"role": "assistant", "content": example.response}]
        return [*messages, self.first(question, persona)]

    def first(self, question: str, persona: str | None = None) -> Message:
        """The prompt of round 1: the agent's persona, if it has one, and the question.

        The persona is in the same turn as the question, since some chat templates have no system turn. Every
        conversation has this turn, so the agent reads its persona in each round and in its training examples.
        """
        before = f"{persona}\n\n" if persona else ""
        return {"role": "user", "content": before + filled(self.solve, question=question)}

    def again(self, question: str, others: str | None) -> Message:
        """The prompt of rounds 2..M.

        Args:
            question: the question.
            others: the other agents' summary or full responses; None if the agent reads nobody.
        """
        if others is None:
            return {"role": "user", "content": filled(self.alone, question=question)}
        return {"role": "user", "content": filled(self.debate, question=question, others=others)}

    def summary_of(self, question: str, responses: Sequence[str]) -> Message:
        """Ask for a summary of what the other agents answered in the previous round."""
        return {"role": "user", "content": filled(self.summarise, question=question, agents=self.listed(responses))}

    def json_summary_of(self, question: str, responses: Sequence[str]) -> Message:
        """Ask for the summary as JSON, which `agents.debate.messages` reads."""
        content = filled(self.summarise_json, question=question, agents=self.listed(responses))
        return {"role": "user", "content": content}

    def listed(self, responses: Sequence[str]) -> str:
        """The other agents' responses, each on new lines, numbered from 1."""
        numbered = enumerate(responses, start=1)
        return "\n".join(filled(self.response, number=str(number), response=each) for number, each in numbered)

    def hint(self, answer: str) -> str:
        """The right answer, written like another agent's response."""
        return self.listed([f"The answer is \\boxed{{{answer}}}."])


DEFAULT = Prompts()
"""The prompts that the embedded model was trained with."""
