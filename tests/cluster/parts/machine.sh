# To be sourced after common.sh: machines of the cluster, which are namespaces of this one (network, mounts, processes, host
# name, shared memory). The first process of each ends with all others in it, and the kernel takes mounts and network
# devices back: a power cut. Its disk is $folder/NAME/disk.
# shellcheck shell=bash disable=SC2034,SC2154

# machine_pid NAME: prints the first process, as this machine numbers it; fails when the machine is off.
machine_pid() {
  local outer inner=
  # `unshare` stays outside and waits; its one child is the first process.
  outer=$(cat "$folder/$1/init.pid" 2> /dev/null) || return 1
  # The number may be that of another process by now.
  tr '\0' '\n' 2> /dev/null < "/proc/$outer/cmdline" | grep -qxF "$folder/$1" || return 1
  read -r inner 2> /dev/null < "/proc/$outer/task/$outer/children" || true
  inner=${inner%% *}
  [ -n "$inner" ] && echo "$inner"
}

# start_machine NAME: switched on; nothing runs in it yet.
start_machine() {
  local machine=$folder/$1
  mkdir -p "$machine"/{logs,disk/lib,disk/log}
  rm -f "$machine/ready"
  setsid unshare --net --mount --uts --ipc --pid --fork --kill-child --mount-proc --propagation private \
    bash "$parts/init" "$machine" > "$machine/logs/init.log" 2>&1 < /dev/null &
  local outer=$! tries
  echo $outer > "$machine/init.pid"
  for tries in $(seq 300); do
    [ ! -e "$machine/ready" ] || return 0
    # At first it still has this process's name.
    [ "$tries" -lt 20 ] || machine_is_on "$1" "$outer" || break
    sleep 0.1
  done
  tail -n 20 "$machine/logs/init.log" >&2
  return 1
}

# stop_machine NAME: as by a power cut, and waits until it is off.
stop_machine() {
  local outer inner
  outer=$(cat "$folder/$1/init.pid" 2> /dev/null) || return 0
  ! inner=$(machine_pid "$1") || kill -KILL "$inner" 2> /dev/null || true
  for _ in $(seq 300); do
    machine_is_on "$1" "$outer" || break
    sleep 0.1
  done
  # --kill-child takes the rest along.
  ! machine_is_on "$1" "$outer" || kill -KILL "$outer" 2> /dev/null || true
  rm -f "$folder/$1"/*.pid
}
machine_is_on() { tr '\0' '\n' 2> /dev/null < "/proc/$2/cmdline" | grep -qxF "$folder/$1"; }

# within NAME COMMAND...
within() {
  local pid
  pid=$(machine_pid "$1") || { echo "$command_name: $1 is off" >&2; return 1; }
  shift
  nsenter -t "$pid" --mount --uts --ipc --net --pid -- "$@"
}

# spawn MACHINE NAME COMMAND...: a process that goes on, a child of the machine's first process once its parent here is gone.
spawn() {
  local machine=$1 program=$2
  shift 2
  # shellcheck disable=SC2016
  within "$machine" bash -c 'log=$1 pid=$2; shift 2; setsid "$@" >> "$log" 2>&1 < /dev/null & echo $! > "$pid"' - \
    "$folder/$machine/logs/$program.log" "$folder/$machine/$program.pid" "$@"
}

# signal MACHINE NAME SIGNAL: to what was spawned; fails when it is no more.
signal() {
  local pid
  pid=$(cat "$folder/$1/$2.pid" 2> /dev/null) || return 1
  within "$1" bash -c "kill -$3 $pid" 2> /dev/null
}

# end MACHINE NAME: at once; the parts of Kubernetes lose nothing by that.
end() {
  signal "$1" "$2" KILL || true
  while signal "$1" "$2" 0; do sleep 0.05; done
  rm -f "$folder/$1/$2.pid"
}

# wait_until SECONDS MACHINE NAME COMMAND...: until the command succeeds. When NAME ends before, or time is over, shows the
# last lines of its log and fails.
wait_until() {
  local until=$((SECONDS + $1)) machine=$2 program=$3
  shift 3
  while ! "$@" > /dev/null 2>&1; do
    if [ $SECONDS -ge $until ] || ! signal "$machine" "$program" 0; then
      echo "$command_name: $program of $machine is not ready; the last lines of its log:" >&2
      tail -n 20 "$folder/$machine/logs/$program.log" >&2
      return 1
    fi
    sleep 0.1
  done
}
