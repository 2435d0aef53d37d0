# shellcheck shell=bash
# Sourced by lib.sh: the node is this guest.

simulator=$checkout/target/rig/bin/truenas-sim
backend=(--backend "${RIG_BACKEND:-kernel}" --kernel-folder "$work/nas")
PATH=$PATH:/lib/udev

# shellcheck source=/dev/null
node_release() {
    . /etc/os-release && echo "$VERSION_CODENAME"
}

# What a fake node cannot show: content of disks, processes that use them, networks to cut.
really() {
    "$@"
}

real_check() {
    check "$@"
}

real_part() {
    shift
    "$@"
}

# LIO takes a new size up in its own time.
target_follows() {
    sleep 0.5
}

is_block() {
    [ -b "$(node_path "$1")" ]
}

# by_path LUN: the disk that 1.x takes for it (TrueNASPlugin.pm 1.1.7, lines 2246-2273): the first link of the target and LUN.
by_path() {
    local link
    for link in "/dev/disk/by-path/ip-"*"-iscsi-$iqn-lun-$1"; do
        readlink -f "$link"
        return
    done
}

# cut_portal ADDRESS [PORT]: packets to it get lost.
cut_portal() {
    local port=${2:-3260}
    nft add table inet cut &&
        nft add chain inet cut out '{ type filter hook output priority 0; }' &&
        nft add rule inet cut out ip daddr "$1" tcp dport "$port" drop &&
        nft add rule inet cut out ip saddr "$1" tcp sport "$port" drop
}

# The NAS answers at its portals, but no more at its API.
cut_api() {
    nft add table inet cut &&
        nft add chain inet cut out '{ type filter hook output priority 0; }' &&
        nft add rule inet cut out tcp dport "${url##*:}" drop
}

# Every packet between node and target is answered with a reset.
cut_with_reset() {
    nft -f - <<'END'
table inet cut {
    chain out {
        type filter hook output priority 0;
        tcp dport 3260 reject with tcp reset
    }
}
END
}

stop_target() {
    echo 0 >"/sys/kernel/config/target/iscsi/$iqn/tpgt_1/enable"
}

start_target() {
    echo 1 >"/sys/kernel/config/target/iscsi/$iqn/tpgt_1/enable"
}

mend() {
    nft delete table inet cut
}

# What the kernel itself saw: programs that were started, commands that disks got

tracing=/sys/kernel/debug/tracing

# traced EVENT COMMAND…: the events while the command runs go to $work/trace.
traced() {
    local event=$tracing/events/$1 status=0
    shift
    : >"$tracing/trace"
    echo 1 >"$event/enable"
    "$@" || status=$?
    echo 0 >"$event/enable"
    cat "$tracing/trace" >"$work/trace"
    return "$status"
}

follow_and_exec() {
    (
        echo "$BASHPID" >"$tracing/set_event_pid"
        exec "$@"
    )
}

# programs_of COMMAND…: which programs it and its children start, without itself.
programs_of() {
    echo 1 >"$tracing/options/event-fork"
    traced sched/sched_process_exec follow_and_exec "$@" >"$work/programs.out" 2>&1 || { cat "$work/programs.out" && return 1; }
    : >"$tracing/set_event_pid"
    sed -n 's/.* filename=\([^ ]*\) .*/\1/p' "$work/trace" | tail -n +2
}

# looks_at LUN COMMAND…: how many commands other than reads, writes and flushes the disks of this LUN get while it runs.
looks_at() {
    local event=scsi/scsi_dispatch_cmd_start
    echo "lun == $1 && opcode != 0x28 && opcode != 0x2a && opcode != 0x35 && opcode != 0x88 && opcode != 0x8a" \
        >"$tracing/events/$event/filter"
    shift
    traced "$event" "$@" >&2
    grep -c scsi_dispatch_cmd_start: "$work/trace"
}
