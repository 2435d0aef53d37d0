# shellcheck shell=bash
# Inside the guest: one NAS with real exports, one storage on it, and checks that count themselves.

checkout=${RIG_CHECKOUT:-/mnt/checkout}
work=$(mktemp -d /tmp/rig-test.XXXXXX)
iqn=iqn.2005-10.org.freenas.ctl:proxmox
passed=0
failed=0

# check TEXT COMMAND…
check() {
    local text=$1
    shift
    if "$@" >"$work/check.out" 2>&1; then
        echo "ok   $text"
        passed=$((passed + 1))
    else
        echo "FAIL $text: $*"
        sed 's/^/     /' "$work/check.out"
        failed=$((failed + 1))
    fi
}

refuse() {
    ! "$@"
}

says() {
    local words=$1
    shift
    "$@" >"$work/said" 2>&1
    grep -qF -- "$words" "$work/said" || { cat "$work/said"; return 1; }
}

closing() {
    echo "$1: $passed passed, $failed failed"
    [ "$failed" = 0 ]
}

# until_true SECONDS COMMAND…
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}

# start_nas OPTION…: two portals on addresses of this guest.
# shellcheck disable=SC2120
start_nas() {
    rm -f "$work/nas.out"
    echo "1-$(printf 'k%.0s' {1..64})" >"$work/key"
    "$checkout/target/rig/bin/truenas-sim" --backend "${RIG_BACKEND:-kernel}" --kernel-folder "$work/nas" --api-key-file "$work/key" \
        --portal 127.0.0.1:3260 --portal 127.0.0.2:3260 --target "$iqn" --exports "$work/exports.json" \
        --traffic "$work/traffic.jsonl" --limiter-window 1 "$@" >"$work/nas.out" 2>"$work/nas.err" &
    nas_pid=$!
    local waited=0
    until [ -s "$work/nas.out" ]; do
        waited=$((waited + 1))
        [ "$waited" -lt 600 ] && kill -0 "$nas_pid" || { cat "$work/nas.err"; return 1; }
        sleep 0.1
    done
    url=$(sed 's/^listening \([^ ]*\).*/\1/' "$work/nas.out")
    fingerprint=$(sed 's/.* fingerprint //' "$work/nas.out")
}

stop_nas() {
    kill "$nas_pid" && wait "$nas_pid"
}

log_out() {
    iscsiadm -m node -T "$iqn" --logout >/dev/null 2>&1
    iscsiadm -m node -T "$iqn" -o delete >/dev/null 2>&1
    rm -rf /run/pve-storage-truenas /dev/truenas
}

# Each command has the budget of a node of its own; the budget itself is tested elsewhere.
pvesm() {
    rm -rf /run/pve-storage-truenas/logins
    perl -T "$checkout/tools/pvesm" --cfg /etc/pve/storage.cfg "$@"
}

# add_storage OPTION…
add_storage() {
    mkdir -p /etc/pve/priv/storage
    : >/etc/pve/storage.cfg
    pvesm add truenasplugin nas1 --api_host 127.0.0.1 --api_port "${url##*:}" --tn_api_user truenas_admin \
        --api_key "$(cat "$work/key")" --tn_tls_fingerprint "$fingerprint" --dataset tank/proxmox \
        --target_iqn "$iqn" --discovery_portal 127.0.0.1:3260 "$@"
}

alloc() {
    pvesm alloc nas1 "$@" 2>/dev/null | sed -n "s/^successfully created '\(.*\)'$/\1/p"
}

sessions() {
    find /sys/class/iscsi_session -mindepth 1 -maxdepth 1 | wc -l
}

device() {
    readlink -f "/dev/truenas/nas1/$1"
}

size_of() {
    blockdev --getsize64 "/dev/truenas/nas1/$1"
}

links() {
    find /dev/truenas -type l | wc -l
}

# lun_of VOLID
lun_of() {
    echo "${1##*-lun}"
}

disks() {
    find /sys/class/scsi_disk -mindepth 1 -maxdepth 1 | wc -l
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
