# shellcheck shell=bash
# One NAS, one storage on it, and checks that count themselves. Inside the guest the exports and the devices are real; with
# RIG_NODE=fake all runs on any machine, over a fake node.

checkout=${RIG_CHECKOUT:-/mnt/checkout}
work=$(mktemp -d "${TMPDIR:-/tmp}/rig-test.XXXXXX")
iqn=iqn.2005-10.org.freenas.ctl:proxmox
passed=0
failed=0
skipped=0
# What stands before /sys, /dev, /etc and /run.
node=
node_options=()

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
    [ "$skipped" = 0 ] || echo "$1: $skipped skipped: they want a real kernel"
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

# How volumes are reached: RIG_TRANSPORT=nvme for the second way.
transport=${RIG_TRANSPORT:-iscsi}
nqn=nqn.2011-06.com.truenas:proxmox
reached_by=(--target_iqn "$iqn" --discovery_portal 127.0.0.1:3260)
second_portal=127.0.0.2:3260
if [ "$transport" = nvme ]; then
    reached_by=(--transport_mode nvme-tcp --subsystem_nqn "$nqn" --discovery_portal 127.0.0.1:4420)
    second_portal=127.0.0.2:4420
fi

# start_nas OPTION…: two portals; in the guest they are its own addresses.
# shellcheck disable=SC2120
start_nas() {
    rm -f "$work/nas.out"
    echo "1-$(printf 'k%.0s' {1..64})" >"$work/key"
    "$simulator" "${backend[@]}" --api-key-file "$work/key" \
        --portal 127.0.0.1:3260 --portal 127.0.0.2:3260 --target "$iqn" --exports "$work/exports.json" \
        --nvme-portal 127.0.0.1:4420 --nvme-portal 127.0.0.2:4420 \
        --traffic "$work/traffic.jsonl" --limiter-window 1 "$@" >"$work/nas.out" 2>"$work/nas.err" &
    nas_pid=$!
    announced "$nas_pid" "$work/nas.out" || { cat "$work/nas.err"; return 1; }
    url=$(sed 's/^listening \([^ ]*\).*/\1/' "$work/nas.out")
    fingerprint=$(sed 's/.* fingerprint //' "$work/nas.out")
    [ -z "$node" ] || start_fake_node
}

# announced PID FILE: its first line has come.
announced() {
    local waited=0
    until [ -s "$2" ]; do
        waited=$((waited + 1))
        [ "$waited" -lt 600 ] && kill -0 "$1" || return 1
        sleep 0.1
    done
}

stop_nas() {
    kill "$nas_pid" && wait "$nas_pid"
}

log_out() {
    [ "$transport" = iscsi ] || nvme disconnect -n "$nqn" >/dev/null 2>&1
    iscsiadm -m node -T "$iqn" --logout >/dev/null 2>&1
    iscsiadm -m node -T "$iqn" -o delete >/dev/null 2>&1
    rm -rf "$node/run/pve-storage-truenas" "$node/dev/truenas"
}

# Each command has the budget of a node of its own; the budget itself is tested elsewhere.
pvesm() {
    rm -rf "$node/run/pve-storage-truenas/logins"
    perl -T "$checkout/tools/pvesm" --cfg "$node/etc/pve/storage.cfg" "${node_options[@]}" "$@"
}

# add_storage OPTION…
add_storage() {
    mkdir -p "$node/etc/pve/priv/storage"
    : >"$node/etc/pve/storage.cfg"
    pvesm add truenasplugin nas1 --api_host 127.0.0.1 --api_port "${url##*:}" --tn_api_user truenas_admin \
        --api_key "$(cat "$work/key")" --tn_tls_fingerprint "$fingerprint" --dataset tank/proxmox \
        "${reached_by[@]}" "$@"
}

alloc() {
    pvesm alloc nas1 "$@" 2>/dev/null | sed -n "s/^successfully created '\(.*\)'$/\1/p"
}

sessions() {
    find "$node/sys/class/iscsi_session" -mindepth 1 -maxdepth 1 | wc -l
}

# volume NAME: its path on this node.
volume() {
    echo "$node/dev/truenas/nas1/$1"
}

device() {
    readlink -f "$(volume "$1")"
}

size_of() {
    blockdev --getsize64 "$(volume "$1")"
}

# calls METHOD: how often the NAS was asked.
calls() {
    grep -c "\"method\":\"$1\"" "$work/traffic.jsonl"
}

come_back() {
    pvesm deactivate "$1" && pvesm activate "$1"
}

links() {
    find "$node/dev/truenas" -type l | wc -l
}

# exports_are NUMBER: without the weight volume, which only iSCSI has.
exports_are() {
    local number
    number=$(jq '[.iscsi[].luns[], .nvme[].namespaces[]] | length' "$work/exports.json")
    [ "$transport" = nvme ] || number=$((number - 1))
    [ "$number" = "$1" ] || { echo "$number exports instead of $1" && return 1; }
}

# traces_are LINKS: device links on this node, and the disks that they stand for. A namespace is on every node that has a
# connection, wanted or not.
traces_are() {
    [ "$(links)" = "$1" ] || { echo "$(links) links instead of $1" && return 1; }
    [ "$transport" = nvme ] || [ "$(disks)" = $(($1 * 2)) ] || { echo "$(disks) disks" && return 1; }
}

# wwn NAME: the identity of a volume's device.
wwn() {
    cat "/sys/block/$(basename "$(device "$1")")/${2:-wwid}" 2>/dev/null || cat "/sys/block/$(basename "$(device "$1")")/device/wwid"
}

# lun_of VOLID
lun_of() {
    echo "${1##*-lun}"
}

disks() {
    find "$node/sys/class/scsi_disk" -mindepth 1 -maxdepth 1 | wc -l
}

# identity NAME|PATH: what a device itself answers.
identity() {
    scsi_id -g -u -d "$(node_path "$1")"
}

# sdb or a path
node_path() {
    case $1 in
    /*) echo "$1" ;;
    *) echo "$node/dev/$1" ;;
    esac
}

# Where open-iscsi has its node records: that of Debian 13 below /var/lib.
records() {
    if [ -d "$node/var/lib/iscsi/nodes" ]; then
        echo "$node/var/lib/iscsi/nodes"
    else
        echo "$node/etc/iscsi/nodes"
    fi
}

# The kernel's write returns when it is done.
set_attribute() {
    echo "$2" >"$1" || return
    [ -z "$node" ] || udevadm sync
}

# The NAS, as somebody else uses it

api() {
    "$(dirname "${BASH_SOURCE[0]}")/api" "$plain" "$(cat "$work/key")" "$@"
}

# with_nas OPTION…: another NAS with the same target, which can be asked by hand.
with_nas() {
    start_nas --plain "$@" || exit 1
    plain=$(sed -n 's/.* http:\/\/[^:]*:\([0-9]*\).*/\1/p' "$work/nas.out")
}

# number METHOD FILTER FIELD: a number of the first row.
number() {
    api "$1" "[[$2]]" | sed -n "s/.*\"$3\":\([0-9]*\).*/\1/p"
}

extent_of() {
    number iscsi.extent.query "[\"disk\",\"=\",\"zvol/tank/proxmox/$1\"]" id
}

mapping_of() {
    number iscsi.targetextent.query "[\"extent\",\"=\",$(extent_of "$1")]" "$2"
}

naa_of() {
    api iscsi.extent.query "[[[\"disk\",\"=\",\"zvol/tank/proxmox/$1\"]]]" | sed 's/.*"naa":"0x\([0-9a-f]*\)".*/\1/'
}

# move_to ZVOL LUN
move_to() {
    local extent
    extent=$(extent_of "$1")
    api iscsi.targetextent.delete "[$(mapping_of "$1" id),true]" &&
        api iscsi.targetextent.create "[{\"target\":1,\"extent\":$extent,\"lunid\":$2}]"
}

unmap_elsewhere() {
    api iscsi.targetextent.delete "[$(mapping_of "$1" id),true]"
}

remove_elsewhere() {
    api iscsi.extent.delete "[$(extent_of "$1"),false,true]" && api pool.dataset.delete "[\"tank/proxmox/$1\"]"
}

grow_elsewhere() {
    api pool.dataset.update "[\"tank/proxmox/$1\",{\"volsize\":$2,\"force_size\":true}]"
}

# shellcheck source=rig/tests/on-kernel.sh
. "$(dirname "${BASH_SOURCE[0]}")/on-${RIG_NODE:-kernel}.sh"
