#!/usr/bin/env bash
# The main job, as a user does it: a lab cluster with one master behind HAProxy, two workers added at once.
set -euo pipefail

scaler=$1
lab=$2

step() {
    printf '\n$ scaler %s\n' "$*"
    "$scaler" "$@"
}

step lab up --name "$lab" --workers 3
if [ "$("$scaler" kubectl --cluster "$lab" -- get --raw /readyz 2>/dev/null || true)" != ok ]; then
    step init --cluster "$lab" --yes
fi
step add-node n1 n2 --cluster "$lab" --yes

printf '\nA Deployment, spread over the new workers:\n'
"$scaler" kubectl --cluster "$lab" -- apply -f "$(dirname "$0")/demo.yaml"
"$scaler" kubectl --cluster "$lab" -- rollout status deployment/hello --timeout=60s
step kubectl --cluster "$lab" -- get nodes
step kubectl --cluster "$lab" -- get pods -o wide

cat <<EOF

The cluster stays up. Try next:
  $scaler add-node n3 --cluster $lab --plan     what would be done, nothing is
  $scaler add-node n3 --cluster $lab            do it
  $scaler add-node n1 --cluster $lab --yes      what is there already stays as it is
  $scaler lab do kill n2 --name $lab            a power cut; then: $scaler kubectl --cluster $lab -- get nodes -w
  $scaler lab ssh n1 --name $lab                look around on a host
  $scaler lab down --name $lab                  take it all away
EOF
