"""Risk: the model as it is applied, from a row of features to a grade and the reasons for it."""
