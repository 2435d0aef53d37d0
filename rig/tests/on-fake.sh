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
    cat "$work/fake-node.out"
    trap leave_no_trace EXIT
}

# This machine goes on after the test.
leave_no_trace() {
    kill "$fake_node_pid" "$nas_pid" 2>/dev/null
    sed 's/^/node: /' "$work/fake-node.err"
    rm -rf "$work"
}

really() {
    :
}

real_check() {
    echo "skip $1"
    skipped=$((skipped + 1))
}

# real_part TEXT FUNCTION…
real_part() {
    real_check "$1"
}

target_follows() {
    udevadm sync
}

# A disk is what has a size; its file is only a name.
is_block() {
    blockdev --getsize64 "$(node_path "$1")"
}

# by_path LUN: the disk that 1.x takes for it. Without by-path: the kernel's name for its place says the same.
by_path() {
    local session host
    for session in "$node/sys/class/iscsi_session/"*; do
        host=${session##*/session}
        [ "$(cat "$session/targetname")" = "$iqn" ] || continue
        echo "$node/dev/$(basename "$node/sys/class/scsi_device/$host:0:0:$1/device/block/"*)"
        return
    done
}

cut_portal() {
    touch "$node/fake/dead/$1:3260"
}

cut_with_reset() {
    cut_portal 127.0.0.1 && cut_portal 127.0.0.2
}

stop_target() {
    cut_with_reset
}

start_target() {
    mend
}

mend() {
    rm "$node/fake/dead/"*
}

# programs_of COMMAND…: which programs of the node it starts.
programs_of() {
    : >"$node/fake/started"
    "$@" >"$work/programs.out" 2>&1 || { cat "$work/programs.out" && return 1; }
    cat "$node/fake/started"
}

# Its facts are those of the oldest release that is supported.
node_release() {
    echo bookworm
}
