#!/bin/sh
# rl_zoo3: its own commands, with the hyper-parameter files that hwgym brings. It finds environments
# by their plain id, after --gym-packages has imported hwgym; it takes no --env hwgym:HWAssign-...
set -e
PYTHON=${PYTHON:-python}
LOGS=$(mktemp -d)
FILES=$($PYTHON -c 'import hwgym_agents; print(*hwgym_agents.__path__)')/hyperparameters

run() {
  $PYTHON -m rl_zoo3.train --algo "$1" --env "$2" --gym-packages hwgym -conf "$FILES/$4.yml" \
    -n "$3" --device cpu --seed 0 --eval-freq -1 --verbose 0 -f "$LOGS" >"$LOGS/out" ||
    { cat "$LOGS/out"; exit 1; }
  $PYTHON -m rl_zoo3.enjoy --algo "$1" --env "$2" --gym-packages hwgym --no-render --device cpu \
    -n 100 -f "$LOGS" | sed -n "s/^Mean reward:/rl_zoo3 $1, $2: mean return/p"
}

run ppo HWAssign-MobileNetV2-NVDLA-v0 10000 sb3-ppo
run sac HWAssign-AlexNet-NVDLA-Continuous-v0 2000 sac
