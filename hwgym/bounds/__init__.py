"""Optima and bounds of tables: arrays in, arrays out; no problem, no family, no unit.

Rows are steps, columns the choices of a step. Every choice has a cost, takes some of a limit, and
may or may not be allowed.

- :mod:`.optimum`: the cheapest choice of every step within the limit, proven.
- :mod:`.knapsack`: costs that add up: Lagrangian relaxation, then enumeration.
- :mod:`.bottleneck`: the greatest cost counts: bisection.
- :mod:`.milp`: costs that add up, as a linear programme for HiGHS.
- :mod:`.pareto`: all that no other beats, in two or three costs.

And of loop nests:

- :mod:`.movement`: how little they can move through a buffer that holds so much.

And of many jobs on several cores:

- :mod:`.schedules`: how soon all can be done at best, in closed form, by weights that an ascent
  finds, and as a linear programme for HiGHS.
- :mod:`.cpsat`: schedules that CP-SAT proves best.
"""
