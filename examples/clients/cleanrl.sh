#!/bin/sh
# CleanRL: its files as they are, from a clone of github.com/vwxyzjn/cleanrl: sh cleanrl.sh CLONE
# They need torch, tyro and tensorboard. Actions are discrete unless an id says otherwise.
set -e
PYTHON=${PYTHON:-python}
cd "${1:?where is the clone?}"
export PYTHONPATH=.

run() { $PYTHON "cleanrl/$1.py" --env-id "hwgym:$2" --total-timesteps "$3" --no-cuda | tail -n 1; }

run ppo HWAssign-AlexNet-NVDLA-v0 10000
run pqn HWAssign-AlexNet-NVDLA-v0 10000
run dqn HWAssign-AlexNet-NVDLA-v0 12000
run c51 HWAssign-AlexNet-NVDLA-v0 12000
run sac_continuous_action HWAssign-AlexNet-NVDLA-Continuous-v0 6000
run td3_continuous_action HWAssign-AlexNet-NVDLA-Continuous-v0 26000
run ddpg_continuous_action HWAssign-AlexNet-NVDLA-Continuous-v0 26000
