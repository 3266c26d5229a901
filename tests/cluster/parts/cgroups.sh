# To be sourced after common.sh: control groups of the cluster, /$name/NODE in each hierarchy. Versions 1 and 2, and 1 with
# the empty hierarchy of version 2 beside ("hybrid").
# shellcheck shell=bash disable=SC2034,SC2154

# The hierarchies that have controllers.
cgroup_hierarchies() {
  awk '$3 == "cgroup" || ($3 == "cgroup2" && $2 == "/sys/fs/cgroup") { print $2 }' /proc/mounts | sort -u
}

# make_cgroups NODE: where the kubelet puts its pods; it wants them in every hierarchy.
make_cgroups() {
  local hierarchy group file
  for hierarchy in $(cgroup_hierarchies); do
    if [ -e "$hierarchy/cgroup.subtree_control" ]; then
      hand_controllers_on "$hierarchy" || return
    fi
    for group in "$hierarchy/$name" "$hierarchy/$name/$1"; do
      mkdir -p "$group" || return
      if [ -e "$group/cgroup.subtree_control" ]; then
        hand_controllers_on "$group" || return
      fi
      # A new group has no processors and no memory in version 1.
      for file in cpuset.cpus cpuset.mems; do
        [ ! -e "$group/$file" ] || [ -n "$(cat "$group/$file")" ] || [ -e "$group/cgroup.controllers" ] \
          || cat "$(dirname "$group")/$file" > "$group/$file" || return
      done
    done
  done
}

# hand_controllers_on GROUP: version 2 has them in groups below only when told so. What is changed outside of the cluster's own
# group is noted.
hand_controllers_on() {
  local controller
  for controller in $(cat "$1/cgroup.controllers"); do
    [[ " $(cat "$1/cgroup.subtree_control") " != *" $controller "* ]] || continue
    { echo "+$controller" > "$1/cgroup.subtree_control"; } 2> /dev/null || continue
    [[ $1 == */$name* ]] || echo "$1 $controller" >> "$folder/controllers"
  done
  for controller in cpu cpuset memory pids; do
    [[ " $(cat "$1/cgroup.subtree_control") " == *" $controller "* ]] || {
      echo "$command_name: the control group $1 does not hand '$controller' on to groups below, perhaps because it has processes" >&2
      return 1
    }
  done
}

# remove_cgroups [NODE]: they go when they are empty, which takes the kernel a moment.
remove_cgroups() {
  local path="$name${1:+/$1}" group controller
  for _ in $(seq 100); do
    find /sys/fs/cgroup -depth -type d -path "/sys/fs/cgroup*/$path*" -exec rmdir {} + 2> /dev/null
    [ -n "$(find /sys/fs/cgroup -type d -path "/sys/fs/cgroup*/$path")" ] || break
    sleep 0.1
  done
  if [ $# = 0 ] && [ -e "$folder/controllers" ]; then
    while read -r group controller; do
      { echo "-$controller" > "$group/cgroup.subtree_control"; } 2> /dev/null
    done < "$folder/controllers"
  fi
  [ -z "$(find /sys/fs/cgroup -type d -path "/sys/fs/cgroup*/$path")" ]
}
