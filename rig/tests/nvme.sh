# shellcheck shell=bash
# Sourced instead of lib.sh: what tests of the plugin over NVMe/TCP share.

# shellcheck disable=SC2034
RIG_TRANSPORT=nvme
# shellcheck source=rig/tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

own_name=$(cat /etc/nvme/hostnqn)

# live NUMBER: so many connections to the subsystem stand.
live() {
    local at found=0
    for at in /sys/class/nvme/nvme*; do
        [ "$(cat "$at/subsysnqn" 2>/dev/null) $(cat "$at/state" 2>/dev/null)" != "$nqn live" ] || found=$((found + 1))
    done
    [ "$found" = "$1" ] || { echo "$found live controllers" && return 1; }
}

disconnect() {
    nvme disconnect -n "$nqn" >/dev/null
    until_true 10 live 0
}

# ask METHOD [FILTERS] FILTER: what jq makes of the rows.
ask() {
    api "$1" "[$2]" | jq -r "$3"
}

# namespace NAME FIELD: of the volume's row on the NAS.
namespace() {
    ask nvmet.namespace.query "[[\"device_path\",\"=\",\"zvol/tank/proxmox/$1\"]]" ".[0]$2"
}

uuid_of() {
    namespace "$1" .device_uuid
}

by_id() {
    echo "/dev/disk/by-id/nvme-uuid.$1"
}

# limits NAME: of the head and of every path to it, each once.
limits() {
    local head
    head=$(basename "$(device "$1")")
    cat "/sys/block/$head/queue/max_sectors_kb" "/sys/class/nvme/"nvme*/"${head%n*}"c*"n${head##*n}/queue/max_sectors_kb" |
        sort | uniq -c | tr -s ' ' | paste -sd ,
}

host_row() {
    ask nvmet.host.query "[[\"hostnqn\",\"=\",\"$own_name\"]]" ".[0]$1"
}

warm_command() {
    echo perl -T "$checkout/tools/pvesm" --cfg /etc/pve/storage.cfg activate "$1"
}
