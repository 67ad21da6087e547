"""Training losses as pure functions: tensors in, what each row or each token costs out.

    completions     what a model is to say, token by token: likelihood, and weights from rewards
    pairs           one text rather than another
    classes         probabilities of a few choices

`docendo.trainers.objectives` says how the loop calls each and what the sum of the costs is divided by; the
settings stand in `docendo.core.losses`.
"""
