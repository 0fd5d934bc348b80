r"""Sets of prompts by name, each the prompts of one kind of problems.

A set is a function that is registered under a name. Its docstring is its description in the config:

    @PROMPT_SETS.add("short")
    def short() -> Prompts:
        \"\"\"one line\"\"\"
        return Prompts(solve="{question} Answer in \\boxed{}.")

The sets of the paper's data sets have the texts of its authors, word for word: MATH from the code of multiagent
finetuning (https://github.com/vsubramaniam851/multiagent-ft, `ft_gen.py`), which has no other data set; arithmetic, GSM
and MMLU from that of multiagent debate, on which the paper builds (https://github.com/composable-models/
llm_multiagent_debate, `math/gen_math.py`, `gsm/gen_gsm.py` and `mmlu/gen_mmlu.py`). The latter has no summaries, so the
request for a summary is that of MATH in all sets. Neither asks for JSON; these requests are the default's.
"""

from collections.abc import Callable

from agents.debate.prompts import DEFAULT, Prompts
from evaluation.registry import Registry

PROMPT_SETS: Registry[Callable[[], Prompts]] = Registry("set of prompts")

_SUMMARISE = (
    "Here are a list of opinions from different agents: \n{agents}"
    "\n\n Write a summary of the different opinions from each of the individual agent and explain the reasoning in "
    "each solution."
)
_RESPONSE = "\n One agent response: ```{response}```"
_SOLUTION = "\n One agent solution: ```{response}```"


@PROMPT_SETS.add("default")
def default() -> Prompts:
    """short ones, with which the embedded model was trained"""
    return DEFAULT


@PROMPT_SETS.add("arithmetic")
def arithmetic() -> Prompts:
    """the authors' for arithmetic"""
    return Prompts(
        solve="{question} Make sure to state your answer at the end of the response.",
        summarise=_SUMMARISE,
        debate="These are the recent/updated opinions from other agents: {others}"
        "\n\n Use these opinions carefully as additional advice, can you provide an updated answer? Make sure to state "
        "your answer at the end of the response.",
        alone="Can you verify that your answer is correct. Please reiterate your answer, making sure to state your "
        "answer at the end of the response.",
        response=_RESPONSE,
    )


@PROMPT_SETS.add("gsm")
def gsm() -> Prompts:
    """the authors' for GSM8K"""
    return Prompts(
        solve="Can you solve the following math problem? {question} Explain your reasoning. Your final answer should "
        "be a single numerical number, in the form \\boxed{answer}, at the end of your response. ",
        summarise=_SUMMARISE,
        debate="These are the solutions to the problem from other agents: {others}"
        "\n\n Using the solutions from other agents as additional information, can you provide your answer to the "
        "math problem? \n The original math problem is {question}. Your final answer should be a single numerical "
        "number, in the form \\boxed{answer}, at the end of your response.",
        alone="Can you double check that your answer is correct. Please reiterate your answer, with your final answer "
        "a single numerical number, in the form \\boxed{answer}.",
        response=_SOLUTION,
    )


@PROMPT_SETS.add("math")
def math() -> Prompts:
    """the authors' for MATH"""
    return Prompts(
        solve="Can you solve the following math problem? {question} Provide a bullet point summary of your reasoning. "
        "Your final answer should be a single answer, in the form \\boxed{answer}, at the end of your response. ",
        summarise=_SUMMARISE,
        debate="Here is a summary of solutions from several other agents: {others}"
        "\n\n Examine each these solutions as additional advice, can solve {question} and give your updated answer? "
        "Explain your reasoning. \n Your final answer should be be in the form \\boxed{answer} given at the end of "
        "your response.",
        alone="Can you double check that your answer is correct? Please reiterate your answer, with your final answer "
        "a single answer of the form \\boxed{answer} at the end of your response.",
        response=_RESPONSE,
    )


@PROMPT_SETS.add("mmlu")
def mmlu() -> Prompts:
    """the authors' for MMLU, answered by a letter"""
    return Prompts(
        solve="Can you answer the following question as accurately as possible? {question} Explain your answer, "
        "putting the answer in the form (X) at the end of your response.",
        summarise=_SUMMARISE,
        debate="These are the solutions to the problem from other agents: {others}"
        "\n\n Using the reasoning from other agents as additional advice, can you give an updated answer? Examine your "
        "solution and that other agents step by step. Put your answer in the form (X) at the end of your response.",
        alone="Can you double check that your answer is correct. Put your final answer in the form (X) at the end of "
        "your response.",
        response=_SOLUTION,
    )
