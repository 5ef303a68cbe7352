"""Retraining: has the world moved, is the new model better, and what was decided about it.

lock      one run a scenario
state     what a run has done, so that it goes on where it was cut off
window    the days that champion and challenger are judged by, which neither has learnt from
drift     whether the champion still sees and tells what it was fitted on
compare   both on the same later rows
verdict   promote or keep, each reason with its number
run       all of it, in order
"""
