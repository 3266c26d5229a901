# To be sourced: what all commands of the cluster share.
# shellcheck shell=bash disable=SC2034,SC2154

command_name=cluster/$(basename "$0")
command_started=${EPOCHREALTIME/[.,]/}
parts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() { echo "$command_name: $*" >&2; exit 1; }
# Exit code 3: this machine can't, whatever the code.
unfit() { echo "$command_name: $*" >&2; exit 3; }
say() {
  local ms=$(((${EPOCHREALTIME/[.,]/} - command_started) / 1000))
  printf '%s: %3d.%d s: %s\n' "$command_name" $((ms / 1000)) $((ms % 1000 / 100)) "$*" >&2
}

# A proxy of this machine knows nothing of the cluster's addresses.
forget_proxies() { unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY; }

# The cluster's addresses: 10.N.0.0/16, N is a number that was free when it came up, and part of all names outside of the folder.
#   .0.1        this machine              .1.0/24     services
#   .0.2        the control plane         .(128+K)    pods of node K
#   .0.(10+K)   node K
number_cluster() {
  number=$1
  net=10.$number
  name=tfk$number
  this_machine=$net.0.1 control_plane=$net.0.2 first_service=$net.1.1
  services=$net.1.0/24 pods=$net.128.0/17
  registry=$control_plane:5000
}
node_address() { echo "$net.0.$((10 + $1))"; }
# hardware_address IP: the same one whenever that machine boots; else the others would send to the former one for a while.
hardware_address() { printf '02:00:00:00:00:%02x\n' "${1##*.}"; }
node_pods() { echo "$net.$((128 + $1)).0/24"; }
max_nodes=9

# load_cluster [FOLDER]: sets $folder (that of $TESTFLEET_CLUSTER unless given) and what `up` has noted there.
load_cluster() {
  folder=${1:-${TESTFLEET_CLUSTER:-}}
  [ -n "$folder" ] || fail "which cluster? TESTFLEET_CLUSTER is not set: it is printed by tests/cluster/up, for its own clusters"
  [ -f "$folder/cluster" ] || fail "there is no cluster in $folder"
  folder=$(cd "$folder" && pwd)
  number=
  # shellcheck source=/dev/null
  . "$folder/cluster"
  [ -z "$number" ] || number_cluster "$number"
}
