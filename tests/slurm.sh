#!/usr/bin/env bash
# Runs a sweep on a real Slurm: one machine with slurmctld, slurmd and munged, no systemd. One cell is requeued while it
# trains, another one reaches its time limit. The table must equal that of `fsct sweep run --jobs 1`, to the bit.
#
#   tests/slurm.sh [FSCT]      FSCT: the binary; the release build by default
#
# Installs Debian's slurm-wlm where that is possible; elsewhere the test is skipped and listed in $FSCT_SKIPS.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
fsct=$(realpath "${1:-$target/release/fsct}")

is_installed() { command -v slurmctld && command -v slurmd && command -v munged && command -v sbatch; } >/dev/null
if ! is_installed && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  { apt-get update -qq && apt-get install -qq -y --no-install-recommends slurm-wlm; } >/dev/null 2>&1 || true
fi
if ! is_installed || [ "$(id -u)" != 0 ]; then
  reason="tests/slurm.sh: Slurm is not installed and cannot be, or the user is not root"
  if [ -z "${FSCT_SKIPS:-}" ]; then echo "$reason" >&2; exit 2; fi
  echo "$reason" >>"$FSCT_SKIPS"
  exit 0
fi

work=$(mktemp -d)
daemons=()
# Whatever happens: jobs first, since they are children of slurmd, then the daemons, then their files.
end() {
  local code=$? daemon
  if [ "$code" -ne 0 ]; then
    echo "FAILED: the last lines of the logs follow" >&2
    tail -n 25 "$work"/*.log "$work"/cluster/slurm/*.txt >&2 2>/dev/null || true
  fi
  if [ -n "${SLURM_CONF:-}" ]; then
    timeout 5 scancel --quiet --full --user=root >/dev/null 2>&1 || true
    for _ in $(seq 50); do [ -n "$(timeout 5 squeue --noheader 2>/dev/null)" ] || break; sleep 0.1; done
  fi
  for daemon in "${daemons[@]}"; do kill -TERM "$daemon" 2>/dev/null || true; done
  for daemon in "${daemons[@]}"; do
    for _ in $(seq 50); do kill -0 "$daemon" 2>/dev/null || break; sleep 0.1; done
  done
  # What is left has this cluster's configuration in its environment, as everything that it has started.
  for daemon in /proc/[0-9]*; do
    if grep -qsz "^SLURM_CONF=$work/" "$daemon/environ"; then kill -KILL "${daemon#/proc/}" 2>/dev/null || true; fi
  done
  wait
  rm -rf "$work"
}
trap end EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

# Waits until a command succeeds: seconds, what is awaited, the command.
await() {
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || fail "$what took too long"
    sleep 0.1
  done
}
# A port of this machine that nothing listens on.
free_port() {
  local port
  while port=$((20000 + RANDOM)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

# A cluster of one machine, with all of its files in a folder of its own.
host=$(hostname -s)
mkdir -p "$work"/munge "$work"/state "$work"/spool
chmod 755 "$work" "$work/munge"
chmod 700 "$work"/spool "$work"/state
dd if=/dev/urandom of="$work/munge/key" bs=128 count=1 status=none
chmod 600 "$work/munge/key"
cores=$(nproc)
cat >"$work/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# A requeued job waits for its old credential to expire: 120 s by default.
AuthInfo=socket=$work/munge/socket,cred_expire=5
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,sched_min_interval=100000,batch_sched_delay=1
MpiDefault=none
ReturnToService=2
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$(awk '/MemTotal/ { print int($2 / 1280) }' /proc/meminfo)
PartitionName=main Nodes=$host Default=YES MaxTime=60 State=UP
END
export SLURM_CONF=$work/slurm.conf
daemon() {
  local name=$1
  shift
  "$@" >"$work/$name.log" 2>&1 &
  daemons+=($!)
}
daemon munged "$(command -v munged)" --foreground --force --key-file="$work/munge/key" --socket="$work/munge/socket" \
  --pid-file="$work/munge/pid" --seed-file="$work/munge/seed"
await 10 "munged" test -S "$work/munge/socket"
daemon slurmctld "$(command -v slurmctld)" -D -f "$SLURM_CONF"
await 15 "slurmctld" scontrol ping
# Debian calls it `slurmstepd-wlm`; slurmd looks where it was built for.
stepd=$(command -v slurmstepd || command -v slurmstepd-wlm)
daemon slurmd "$(command -v slurmd)" -D -f "$SLURM_CONF" -d "$stepd"
is_idle() { [ "$(sinfo --noheader --format=%T)" = idle ]; }
await 15 "slurmd" is_idle
echo "ok: $(slurmctld -V) runs on $host with $cores cores after $SECONDS s"

cat >"$work/tiny.yaml" <<END
version: 1
name: tiny
device: cpu
data: {format: synthetic, image_size: 28}
episode: {n_way: 3, k_shot: 1, n_query: 4}
backbone: {kind: conv4s}
method: {kind: fsct, heads: 2, dim_head: 8, mlp_dim: 16}
train: {epochs: 3, episodes_per_epoch: 40, checkpoint_every: 100}
validate: {episodes: 10}
test: {episodes: 30}
END
cat >"$work/sweep.yaml" <<END
version: 1
pipeline: tiny.yaml
grid:
  method.kind: [fsct, profoct]
  seed: [1, 2]
compare: {baseline: {method.kind: fsct}}
END
# Both folders have the same cells.
for folder in calm cluster; do "$fsct" -q sweep plan "$work/sweep.yaml" -o "$work/$folder" >/dev/null; done

# One after the other, without a scheduler.
before=$SECONDS
RAYON_NUM_THREADS=1 "$fsct" -q sweep run "$work/calm" --jobs 1 >"$work/calm.log" 2>&1
echo "ok: --jobs 1 in $((SECONDS - before)) s"

before=$SECONDS
"$fsct" -q sweep slurm "$work/cluster" --throttle "$cores" --cores 1 --time 10 -o "$work/submit.sh" 2>"$work/slurm.log"
submitted=$(bash "$work/submit.sh")
array=$(sed -n 's/^submitted \([0-9]*\);.*/\1/p' <<<"$submitted")
collector=$(head -n 1 <<<"$submitted")
[ -n "$array" ] && [ -n "$collector" ] || fail "the script of \`fsct sweep slurm\` printed $submitted"

# The folder of a cell, by its number.
cell() { sed -n "$(($1 + 1))p" "$work/cluster/manifest.jsonl" | sed 's/.*"id":"\([0-9a-f]*\)".*/\1/' | sed "s|^|$work/cluster/cells/|"; }
trains() { grep -q '"event":"step"' "$1"/runs/*/events.jsonl; }
state() { squeue --noheader --array --jobs="${array}_$1" --format=%T; }
outcomes() { sed -n 's/.*"outcome": "\(.*\)".*/\1/p' "$(cell "$1")/state.json" | xargs; }
is_pending() { [ "$(state "$1")" = PENDING ]; }

# By hand, or as when another job goes before it. Slurm sends SIGTERM to every process of the job; the cell has no
# checkpoint yet and writes one.
await 60 "the first step of cell 0" trains "$(cell 0)"
scontrol requeue "${array}_0"
await 30 "the requeue of cell 0" is_pending 0
echo "ok: cell 0 was requeued: $(outcomes 0)"

# What Slurm sends to the batch script two minutes before the time limit. Where the job has left the queue before
# scancel is answered, it repeats the signal for minutes.
await 60 "the first step of cell 3" trains "$(cell 3)"
timeout 1 scancel --batch --signal=TERM "${array}_3" 2>/dev/null || true
await 30 "the requeue of cell 3" is_pending 3
[ "$(outcomes 3)" = interrupted ] || fail "cell 3 was not interrupted: $(outcomes 3)"
echo "ok: cell 3 reached its time limit and requeued itself"

is_over() { [ -z "$(squeue --noheader)" ] && [ -e "$work/cluster/table.md" ]; }
await 60 "the array and its collecting job" is_over
echo "ok: the array and its collecting job in $((SECONDS - before)) s"

# What is compared: all columns but the seconds, at full precision, and each answer of each test.
csv() { "$fsct" sweep collect "$work/$1" --format csv | cut -d, -f1-5,7-; }
[ "$(csv calm | wc -l)" = 3 ] || fail "the table has other rows"
csv calm | grep -q ',2,2,' || fail "cells are missing: $(csv calm)"
diff <(csv calm) <(csv cluster) || fail "the two tables differ"
page() { sed 's|, /.*||' "$1"; }
"$fsct" sweep collect "$work/calm" -o "$work/calm.md"
diff <(page "$work/calm.md") <(page "$work/cluster/table.md") || fail "the collecting job wrote another table"
for id in "$work"/calm/cells/*; do
  cmp "$id"/runs/*/answers.jsonl "$work/cluster/cells/${id##*/}"/runs/*/answers.jsonl || fail "answers differ"
done
for number in 0 1 2 3; do
  runs=("$(cell "$number")"/runs/*)
  [ "${#runs[@]}" = 1 ] || fail "cell $number was run ${#runs[@]} times"
  [ "$(grep -c '"event":"finished"' "${runs[0]}/events.jsonl")" = 1 ] || fail "cell $number was finished twice"
  steps=$(grep -c '"event":"step"' "${runs[0]}/events.jsonl")
  [ "$steps" = 120 ] || fail "cell $number has $steps steps"
done
for number in 0 3; do
  [ "$(outcomes "$number")" = "interrupted done" ] || fail "cell $number: $(outcomes "$number")"
  grep -q '"resumed": true' "$(cell "$number")/state.json" || fail "cell $number was not resumed"
done
cat "$work/cluster/table.md"
echo "ok: the table of the cluster is that of --jobs 1; $SECONDS s in all"
