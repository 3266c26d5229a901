# To be sourced after common.sh, machine.sh, certificates.sh and cgroups.sh: the machines "node1", "node2", ...
# shellcheck shell=bash disable=SC2034,SC2154

# boot_node K: for the first time, or after a crash.
boot_node() {
  local node=node$1 machine=$folder/node$1
  mkdir -p "$machine/cni" "$machine/certs.d/$registry"
  make_certificate "$node" "/O=system:nodes/CN=system:node:$node" "DNS:$node,IP:$(node_address "$1")" || return
  write_kubeconfig "$machine/kubelet.kubeconfig" "$node"
  write_network "$1" > "$machine/cni/10-cluster.conflist"
  write_containerd > "$machine/containerd.toml"
  write_registry > "$machine/certs.d/$registry/hosts.toml"
  write_kubelet "$1" > "$machine/kubelet.yaml"
  write_proxy "$1" > "$machine/proxy.yaml"
  # Names of services are not known here; this answers at once that there is nobody to ask.
  echo "nameserver $control_plane" > "$machine/resolv.conf"
  make_cgroups "$node" && start_machine "$node" && plug_in "$1" || return

  spawn "$node" containerd containerd -c "$machine/containerd.toml" || return
  # Without a socket, ctr would wait 10 s for one.
  wait_until 60 "$node" containerd within "$node" sh -c '[ -S /run/containerd/containerd.sock ] && ctr version' || return
  within "$node" ctr --namespace k8s.io images import "$images/pause.tar" >> "$machine/logs/init.log" 2>&1 || return
  spawn "$node" kubelet "$kubebox" kubelet --config "$machine/kubelet.yaml" --kubeconfig "$machine/kubelet.kubeconfig" \
    --hostname-override "$node" --node-ip "$(node_address "$1")" || return
  spawn "$node" proxy "$kubebox" kube-proxy --config "$machine/proxy.yaml"
}

# crash_node K: nothing in it gets to say a word.
crash_node() {
  stop_machine "node$1"
  # The kernel would do that as well, but later than the next boot.
  within control ip link delete "node$1" 2> /dev/null || true
  remove_cgroups "node$1"
}

# plug_in K: into the switch. Pods reach every address of this machine through it; there is no way on from here.
plug_in() {
  local node=node$1 control pid other
  control=$(machine_pid control) && pid=$(machine_pid "$node") || return
  nsenter -t "$control" --net ip link add "$node" type veth \
    peer name eth0 address "$(hardware_address "$(node_address "$1")")" netns "$pid" \
    && within control ip link set "$node" master lan up && within "$node" ip link set eth0 up \
    && within "$node" ip address add "$(node_address "$1")/24" dev eth0 \
    && within "$node" ip route add default via "$this_machine" || return
  for other in $(seq "$max_nodes"); do
    [ "$other" = "$1" ] || within "$node" ip route add "$(node_pods "$other")" via "$(node_address "$other")" || return
  done
}

# Each pod has a cable to its node instead of a bridge: all its packets pass the rules of kube-proxy without br_netfilter.
write_network() {
  cat << C
{"cniVersion": "1.0.0", "name": "cluster", "plugins": [
  {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "dataDir": "/run/ipam",
    "ranges": [[{"subnet": "$(node_pods "$1")"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
C
}

# Its folders are at their usual places, which are the node's own.
write_containerd() {
  cat << C
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/testfleet/pause:1"
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  disable_apparmor = true
  # Without CAP_SYS_RESOURCE nobody may lower what the kernel spares when memory is short.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$folder/$node/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$folder/$node/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
C
}

write_registry() {
  cat << C
server = "http://$registry"
[host."http://$registry"]
  capabilities = ["pull", "resolve"]
C
}

# The disk may be as full as it is: it is that of this machine, and images are few.
write_kubelet() {
  cat << C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$name/$node
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $folder/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $folder/pki/$node.crt
tlsPrivateKeyFile: $folder/pki/$node.key
clusterDomain: cluster.local
clusterDNS: [$control_plane]
resolvConf: $folder/$node/resolv.conf
evictionHard: {memory.available: 100Mi, nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%", imagefs.inodesFree: "0%"}
imageGCHighThresholdPercent: 100
nodeStatusUpdateFrequency: 2s
nodeStatusReportFrequency: 10s
syncFrequency: 10s
serializeImagePulls: false
C
}

write_proxy() {
  cat << C
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $folder/pki/proxy.kubeconfig}
mode: iptables
clusterCIDR: $pods
hostnameOverride: $node
bindAddress: $(node_address "$1")
oomScoreAdj: 0
# Limits of the kernel that a network namespace may not change.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
C
}
