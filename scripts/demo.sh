#!/usr/bin/env bash
# The main jobs, as a user does them: a lab cluster with one master behind HAProxy and Keepalived, two workers added at
# once, then two masters more.
set -euo pipefail

scaler=$1
lab=$2

step() {
    printf '\n$ scaler %s\n' "$*"
    "$scaler" "$@"
}

step lab up --name "$lab" --masters 3 --loadbalancers 2 --vip --workers 3
if [ "$("$scaler" kubectl --cluster "$lab" -- get --raw /readyz 2>/dev/null || true)" != ok ]; then
    step init --cluster "$lab" --yes
fi
step add-node n1 n2 --cluster "$lab" --yes

printf '\nA Deployment, spread over the new workers:\n'
"$scaler" kubectl --cluster "$lab" -- apply -f "$(dirname "$0")/demo.yaml"
"$scaler" kubectl --cluster "$lab" -- rollout status deployment/hello --timeout=60s
step kubectl --cluster "$lab" -- get pods -o wide

printf '\nFrom one master to three, as one change:\n'
step add-master m2 m3 --cluster "$lab" --yes
step kubectl --cluster "$lab" -- get nodes

cat <<EOF

The cluster stays up. Try next:
  $scaler add-node n3 --cluster $lab --plan     what would be done, nothing is
  $scaler add-node n3 --cluster $lab            do it
  $scaler add-node n1 --cluster $lab --yes      what is there already stays as it is
  $scaler remove-node n2 --cluster $lab         pods move, the node goes, its host is given back
  $scaler replace-master m3 n3 --cluster $lab --plan    what it would take to put another host in m3's place
  $scaler status --cluster $lab                 everything on one screen
  $scaler runs list --cluster $lab              what was done, and what is unfinished
  $scaler lab do kill m1 --name $lab            lose a master; then: $scaler kubectl --cluster $lab -- get nodes
  $scaler lab do kill lb1 --name $lab           lose the load balancer that has the VIP: the other one takes it
  $scaler lab do kill n2 --name $lab            a power cut; then: $scaler kubectl --cluster $lab -- get nodes -w
  $scaler lab ssh n1 --name $lab                look around on a host
  $scaler lab down --name $lab                  take it all away
EOF
