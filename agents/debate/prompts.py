"""The prompts of the society, the same for the embedded model and for any other.

The conversation of one agent over M rounds, the same in a debate and in finetuning:

    user       solve(question), after the agent's persona if it has one
    assistant  y_1
    user       debate(summary of the other agents' round 1)
    assistant  y_2
    ...

The base model writes each summary in a separate conversation, see `summarise`.
"""

from agents.debate.messages import MAX_STEP_CHARS, MAX_STEPS
from agents.engines.chat import Message


def solve(question: str, persona: str | None = None) -> Message:
    """The prompt of round 1: the agent's persona, if it has one, and the question.

    The persona is in the same turn as the question, since some chat templates have no system turn. This turn begins
    every conversation, so the agent reads its persona in each round and in its training examples.
    """
    before = f"{persona}\n\n" if persona else ""
    return {
        "role": "user",
        "content": f"{before}Solve the problem step by step and end with the answer in \\boxed{{}}.\n\n{question}",
    }


def listed(responses: list[str]) -> str:
    """The other agents' responses one after another, numbered from 1."""
    return "\n".join(f"Agent {number}: {response}" for number, response in enumerate(responses, start=1))


def summarise(question: str, responses: list[str]) -> Message:
    """Ask for a summary of what the other agents answered in the previous round."""
    return {
        "role": "user",
        "content": "Summarise the main steps and the answer of each agent.\n\n"
        f"Problem: {question}\n\n{listed(responses)}",
    }


def summarise_as_json(question: str, responses: list[str]) -> Message:
    """Ask for the summary as JSON, which `agents.debate.messages` reads."""
    return {
        "role": "user",
        "content": "Give the answer and the main steps of each agent as JSON and nothing else: an entry for each agent "
        f"in order, an answer or null, at most {MAX_STEPS} steps of at most {MAX_STEP_CHARS} characters.\n"
        '{"agents": [{"answer": "...", "steps": ["...", "..."]}]}\n\n'
        f"Problem: {question}\n\n{listed(responses)}",
    }


def debate(question: str, others: str) -> Message:
    """The prompt of rounds 2..M: the other agents' summary or full responses, and the question again."""
    return {
        "role": "user",
        "content": f"Other agents answered:\n{others}\n\n"
        "With this as advice, check your steps, solve the problem again and end with the answer in \\boxed{}."
        f"\n\n{question}",
    }


def hint(answer: str) -> str:
    """The right answer, written like another agent's response."""
    return listed([f"The answer is \\boxed{{{answer}}}."])
