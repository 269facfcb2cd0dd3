"""Agents that search hwgym's environments, and a demonstration of one.

Each gets an evaluator, which states the problem and sells samples (:mod:`hwgym.core.evaluator`).

- totals only, any problem: :mod:`.blind` (random, uniform, grid), :mod:`.local` (annealing,
  genetic), :mod:`.bayesian` (optuna, CMA-ES), :mod:`.neat`
- totals only, where costs add up: :mod:`.difference`
- what each step costs, where costs are separable: :mod:`.tables` (tabulate and solve, greedy,
  Lagrangian), :mod:`.regression`, :mod:`.reinforce_priced`, :mod:`.ga_refiner`, both as
  :mod:`.two_stage`
- rewards of an environment's episodes: :mod:`.reinforce`, :mod:`.ppo`, and :mod:`.sb3`
  (stable-baselines3), through :mod:`.vec_env`
- with a checkpoint, learnt on other networks: :mod:`.generalist`, :mod:`.predictor`, :mod:`.jumbo`
- mappings of a layer: :mod:`.gamma`, :mod:`.marvel`, :mod:`.map_local`; learnt on other layers:
  :mod:`.dcp`
- schedules: :mod:`.scheduling` (list schedules), :mod:`.magma`, :mod:`.herald`,
  :mod:`.schedule_local`
"""
