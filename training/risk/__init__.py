"""Risk models: from the lake to a bundle, beside the baselines that it must beat.

matrix       features, labels and groups, one row a subject and date, or a visit
weights      what corrects for who was looked at, and for rare outcomes
folds        slices of time that do not know of one another
fit          a booster, calibrated
tune         the search for better parameters, before the test
baseline     past rate, expert rules, scorecard, logistic regression
run          all of it, into a folder
"""
