"""The kinds of answers, one file each; see `evaluation.answers.grader`."""
