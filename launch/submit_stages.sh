#!/bin/bash
# Submits stages of training as jobs that wait for each other, each with the weights of the one
# before. Where one allocation suits all stages, `job: curriculum` in one job is simpler; this is
# for stages that want different numbers of nodes.
#
# usage: launch/submit_stages.sh RUN_DIR STAGE.yaml[:SBATCH-OPTION...]... [-- key=value...]
#
#     launch/submit_stages.sh runs/svg 'configs/stage0a.yaml:--nodes=1' \
#         'configs/stage1.yaml:--nodes=4 --time=48:00:00' 'configs/stage2.yaml:--nodes=8'
#
# A job that is requeued has not ended: the next one waits on. One that fails lets those behind it
# wait for ever ("DependencyNeverSatisfied"): scancel them.
set -euo pipefail
folder=$(cd "$(dirname "$0")" && pwd)
run_dir=${1:?usage: launch/submit_stages.sh RUN_DIR STAGE.yaml[:SBATCH-OPTION...]... [-- key=value...]}
shift
stages=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    stages+=("$1")
    shift
done
[ "${1:-}" != -- ] || shift
[ "${#stages[@]}" -gt 0 ] || { echo "no stages" >&2; exit 2; }

job= before=
for stage in "${stages[@]}"; do
    config=${stage%%:*} options=()
    [ "$config" = "$stage" ] || read -ra options <<<"${stage#*:}"
    name=$(basename "$config" .yaml)
    keys=("run_dir=$run_dir/$name")
    [ -z "$before" ] || keys+=("train.init=$run_dir/$before")
    [ -z "$job" ] || options+=("--dependency=afterok:$job")
    job=$(sbatch --parsable --job-name="robin-$name" "${options[@]}" "$folder/robin.sbatch" \
        "$config" "${keys[@]}" "$@")
    job=${job%%;*}
    echo "$name: job $job"
    before=$name
done
