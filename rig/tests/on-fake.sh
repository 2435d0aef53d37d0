# shellcheck shell=bash
# Sourced by lib.sh: the node is a folder, which the fake node fills. What wants content on a disk, or a network to cut, is
# skipped and counted.

target=${CARGO_TARGET_DIR:-$checkout/target}
simulator=$target/debug/truenas-sim
backend=(--backend memory)
node=$work/node
node_options=(--node "$node")
mkdir -p "$node"
node=$(realpath "$node")
PATH=$node/usr/sbin:$node/usr/bin:$node/lib/udev:$PATH

# A node that runs already stays as it is: only the NAS is another one.
start_fake_node() {
    [ -z "${fake_node_pid-}" ] || return 0
    "$target/debug/fake-node" "$node" "$work/exports.json" >"$work/fake-node.out" 2>"$work/fake-node.err" &
    fake_node_pid=$!
    announced "$fake_node_pid" "$work/fake-node.out" || { cat "$work/fake-node.err"; return 1; }
    trap end_fake_node EXIT
}

end_fake_node() {
    kill "$fake_node_pid"
    sed 's/^/node: /' "$work/fake-node.err"
}

# Its facts are those of the oldest release that is supported.
node_release() {
    echo bookworm
}
