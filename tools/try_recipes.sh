#!/bin/sh
# Runs each recipe of the papers' pairs for 20 steps on generated data, from
# training the teacher to a checked SavedModel; each goes on where it stopped.
#
# [RUNS=FILE] sh tools/try_recipes.sh FOLDER [PAIR...]
set -e
folder=$1
shift
pairs=${*:-"cifar100_resnet32x4_resnet32 cifar100_wrn_40_2_wrn_40_1
    imagenet_resnet50_resnet18 imagenet_resnet34_resnet18
    imagenet_resnet50_mobilenet_v1"}
tools=$(dirname "$0")
runs=${RUNS:-$tools/../flags/tasks.sweep}
python=${PYTHON:-python}

# One batch is an epoch, so that 20 steps are 20 epochs and pass the stages of
# the curriculum.
for dataset in cifar100 imagenet2012; do
    test -e "$folder/data/$dataset" || "$python" "$tools/make_tiny.py" \
        --dataset=$dataset --data_dir="$folder/data" --train=64 --test=64
done

for pair in $pairs; do
    flagfile=$(dirname "$tools")/flags/$pair.flags
    teacher=$(sed -n 's/^--teacher=//p' "$flagfile")
    base=$(dirname "$tools")/flags/base/${pair%%_*}.flags
    network=$folder/teachers/$teacher
    "$python" "$tools/train.py" --flagfile="$base" --max_steps=20 \
        --model="$teacher" --data_dir="$folder/data" --work_dir="$network"
    "$python" "$tools/sweep.py" --runs="$runs" \
        --work_dir="$folder/$pair" --common="--flagfile=$flagfile --max_steps=20
        --data_dir=$folder/data --teacher_weights=$network/model.keras"
    student=$folder/$pair/indistill_okd
    "$python" "$tools/export.py" --work_dir="$student" --check
    "$python" "$tools/evaluate.py" --model="$student/model.keras" \
        --dataset="$(sed -n 's/^--dataset=//p' "$base")" \
        --data_dir="$folder/data" --ranks=1,10 --output="$student/scores.json"
done
