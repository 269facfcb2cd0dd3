"""What the families share that schedule jobs on several cores: cores, and Gantt charts."""

from hwgym.families.scheduled.cores import COST_MODELS, Core, JobCosts, core_of, job_costs

__all__ = ["COST_MODELS", "Core", "JobCosts", "core_of", "job_costs"]
