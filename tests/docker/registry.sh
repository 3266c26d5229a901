# To be sourced: Debian's docker-registry, found or downloaded, and one that serves.

# find_registry: sets $registry to the program. The package alone is downloaded, into $registry_folder, which is the
# caller's to remove: its service would take port 5000.
find_registry() {
    registry=$(command -v docker-registry) && return
    registry_folder=$(mktemp -d)
    (cd "$registry_folder" && apt-get update -qq && apt-get download -qq docker-registry && dpkg -x docker-registry_*.deb .) || {
        echo "error: failed to download the Debian package docker-registry" >&2
        return 1
    }
    registry=$registry_folder/usr/bin/docker-registry
}

# serve_registry FOLDER [AUTH [ADDRESS]]: starts one with its data in FOLDER, waits until it answers, and sets $server (its
# process) and $port, a free one. AUTH is a section of its configuration; ADDRESS is 127.0.0.1 unless given.
serve_registry() {
    local folder=$1 auth=${2-} address=${3:-127.0.0.1}
    port=$((20000 + RANDOM % 20000))
    cat > "$folder.yml" << EOF
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $folder}}
http: {addr: "$address:$port"}
$auth
EOF
    "$registry" serve "$folder.yml" > "$folder.log" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        # 401 is an answer, too.
        curl -s -o /dev/null "http://$address:$port/v2/" && return
        kill -0 "$server" 2> /dev/null || break
        sleep 0.1
    done
    echo "error: the registry did not start:" >&2
    cat "$folder.log" >&2
    return 1
}
