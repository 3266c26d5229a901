# To be sourced after common.sh, machine.sh and certificates.sh: the machine "control", which has the control plane, the
# registry and the switch that nodes are connected to.
# shellcheck shell=bash disable=SC2034,SC2154

# lay_cable: between this machine and the control plane. A number that no other network has becomes the cluster's.
lay_cable() {
  local pid first=$((RANDOM % 50)) i
  pid=$(machine_pid control) || return
  for i in $(seq 0 49); do
    number_cluster $((200 + (first + i) % 50))
    [ -z "$(ip -4 address show to "$net.0.0/16")$(ip -4 route show root "$net.0.0/16")" ] || continue
    # Fails when somebody took the number just now.
    ip link add "$name" type veth peer name up0 netns "$pid" 2> /dev/null || continue
    echo "number=$number" >> "$folder/cluster"
    ip address add "$this_machine/24" dev "$name" && ip link set "$name" up \
      && ip route add "$net.0.0/16" via "$control_plane" dev "$name" src "$this_machine" && set_switch_up
    return
  done
  return 1
}

set_switch_up() {
  local node
  # A bridge without an address of its own takes that of one of its cables, and another when that is cut.
  within control ip link add lan address "$(hardware_address "$control_plane")" type bridge \
    && within control ip address add "$control_plane/24" dev lan && within control ip link set lan up \
    && within control ip link set up0 master lan up \
    && within control ip route add "$services" via "$(node_address 1)" || return
  for node in $(seq "$max_nodes"); do
    within control ip route add "$(node_pods "$node")" via "$(node_address "$node")" || return
  done
}

make_control_certificates() {
  make_authority || return
  local names=DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
  make_certificate apiserver /CN=kube-apiserver "$names,IP:127.0.0.1,IP:$control_plane,IP:$first_service" \
    && make_certificate admin /O=system:masters/CN=admin \
    && make_certificate kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client \
    && make_certificate controllers /CN=system:kube-controller-manager \
    && make_certificate scheduler /CN=system:kube-scheduler && make_certificate proxy /CN=system:kube-proxy || return
  write_kubeconfig "$folder/kubeconfig" admin
  write_kubeconfig "$folder/pki/controllers.kubeconfig" controllers
  write_kubeconfig "$folder/pki/scheduler.kubeconfig" scheduler
  write_kubeconfig "$folder/pki/proxy.kubeconfig" proxy
}

# It has no password: nobody else is on the loopback device of its machine.
start_etcd() {
  spawn control etcd "$kubebox" etcd --name control --data-dir "$folder/control/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster control=http://127.0.0.1:2380
}

start_apiserver() {
  spawn control apiserver "$kubebox" kube-apiserver --etcd-servers http://127.0.0.1:2379 \
    --bind-address "$control_plane" --secure-port 6443 --advertise-address "$control_plane" \
    --service-cluster-ip-range "$services" --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
    --allow-privileged=true --profiling=false --kubelet-preferred-address-types InternalIP \
    --tls-cert-file "$folder/pki/apiserver.crt" --tls-private-key-file "$folder/pki/apiserver.key" \
    --client-ca-file "$folder/pki/ca.crt" --kubelet-certificate-authority "$folder/pki/ca.crt" \
    --kubelet-client-certificate "$folder/pki/kubelet-client.crt" --kubelet-client-key "$folder/pki/kubelet-client.key" \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$folder/pki/tokens.pub" \
    --service-account-signing-key-file "$folder/pki/tokens.key"
}

wait_for_apiserver() {
  wait_until 300 control apiserver curl --noproxy '*' -sf --cacert "$folder/pki/ca.crt" "https://$control_plane:6443/readyz"
}

# A node that is silent for 20 s is not ready; Kubernetes itself would wait 50 s.
start_controllers() {
  spawn control controllers "$kubebox" kube-controller-manager --kubeconfig "$folder/pki/controllers.kubeconfig" \
    --leader-elect=false --secure-port 0 --use-service-account-credentials --allocate-node-cidrs=false \
    --root-ca-file "$folder/pki/ca.crt" --service-account-private-key-file "$folder/pki/tokens.key" \
    --cluster-signing-cert-file "$folder/pki/ca.crt" --cluster-signing-key-file "$folder/pki/ca.key" \
    --node-monitor-period 2s --node-monitor-grace-period 20s
  spawn control scheduler "$kubebox" kube-scheduler --kubeconfig "$folder/pki/scheduler.kubeconfig" \
    --leader-elect=false --secure-port 0
}

start_registry() {
  cat > "$folder/control/registry.yml" << C
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $folder/control/registry}, delete: {enabled: true}}
http: {addr: "$registry"}
C
  spawn control registry docker-registry serve "$folder/control/registry.yml" || return
  wait_until 60 control registry curl --noproxy '*' -sf "http://$registry/v2/"
}
