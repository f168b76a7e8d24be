"""Stand-ins for two vendors of language models, in the shapes of their APIs, with faults that are switched on.

`python -m examples.workload.providers` starts them. The vendors' official Python clients talk to them unchanged.
Answers are made from the question by rules; the embeddings are real.
"""
