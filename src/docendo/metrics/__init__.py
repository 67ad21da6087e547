"""What is measured: pure functions over counts, verdicts and answers, one file for each noun.

======================  ===================================================================================
`accuracy`              share of problems answered correctly
`pass_at_k`             unbiased pass@k of a problem, its mean over problems, its curve over k
`coverage`              share of problems with at least one correct sample
`majority`              the vote of the first k samples, and whether it is right
`choosing`              one answer of many samples: the rules, over clusters and scores; their oracle
`fewer`                 what rules choose among fewer of the samples, and what that costs
`best_of_k`             chance that the best-scored of k samples is right
`ordering`              share of pairs of a right and a wrong sample that a score orders rightly
`transitions`           right and wrong before, right and wrong after
`intervals`             Wilson, Clopper-Pearson, Student and bootstrap intervals
`paired`                exact McNemar test; one arm against another, over problems and seeds
`pgr`                   performance gap recovered, with its interval; agreement of student and supervisor
`drift`                 length, distinct answers, unparsed and unfinished samples, distinct-n
======================  ===================================================================================

All of it needs the standard library alone. ``_P`` marks one entry for each problem, ``_P_G`` one row of
samples for each problem, ``_S_P`` one row of problems for each seed. Problems count with equal weight.
"""
