# To be sourced after common.sh: who is who in the cluster. Keys and what holds them are for the owner alone.
# shellcheck shell=bash disable=SC2034,SC2154

# make_authority: the one that all parts trust, and the key that signs tokens of ServiceAccounts.
make_authority() (
  umask 077
  mkdir -p "$folder/pki" && cd "$folder/pki" || exit
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -keyout ca.key -out ca.crt \
    -subj /CN=testfleet-cluster 2> /dev/null \
    && openssl genrsa -out tokens.key 2048 2> /dev/null && openssl rsa -in tokens.key -pubout -out tokens.pub 2> /dev/null
)

# make_certificate FILE SUBJECT [NAMES]: NAMES as in OpenSSL's subjectAltName.
make_certificate() (
  umask 077
  cd "$folder/pki" || exit
  [ ! -e "$1.crt" ] || exit 0
  {
    echo "keyUsage=digitalSignature,keyEncipherment"
    echo "extendedKeyUsage=serverAuth,clientAuth"
    [ -z "${3:-}" ] || echo "subjectAltName=$3"
  } > "$1.extensions"
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.request" -subj "$2" 2> /dev/null \
    && openssl x509 -req -in "$1.request" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile "$1.extensions" \
      -out "$1.crt" 2> /dev/null && rm "$1.request" "$1.extensions"
)

# write_kubeconfig FILE CERTIFICATE: with it, whoever reads FILE is who CERTIFICATE says.
write_kubeconfig() (
  umask 077
  cat > "$1" << K
apiVersion: v1
kind: Config
clusters:
- name: testfleet
  cluster:
    server: https://$control_plane:6443
    certificate-authority-data: $(base64 -w0 "$folder/pki/ca.crt")
users:
- name: $2
  user:
    client-certificate-data: $(base64 -w0 "$folder/pki/$2.crt")
    client-key-data: $(base64 -w0 "$folder/pki/$2.key")
contexts:
- name: testfleet
  context: {cluster: testfleet, user: $2}
current-context: testfleet
K
)
