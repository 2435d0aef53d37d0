# shellcheck shell=bash
# Sourced after tools/rig.sh: two guests with a cable between them, 10.9.9.1 and 10.9.9.2.
# shellcheck disable=SC2154

folder=$(mktemp -d "${TMPDIR:-/tmp}/rig-pair.XXXXXX")

end() {
    local node
    for node in 1 2; do
        rig/run --down "$folder/$node" || true
    done
    rm -rf "$folder"
}
trap end EXIT

# on NODE COMMANDS: with the functions of the tests.
on() {
    rig/run --timeout 120 --env RIG_CHECKOUT=/mnt/share --in "$folder/$1" -- bash -c ". /mnt/share/rig/tests/lib.sh; $2"
}

# pvesm NODE ARGUMENT…
pvesm() {
    local node=$1
    shift
    on "$node" "pvesm ${*@Q}"
}

check() {
    count_check "$1" quietly "${@:2}"
}

refuse() {
    ! "$@"
}

start_guest() {
    rig_run --link "$1:$folder/cable" --up "$folder/$1"
}

# shows NODE WANTED COMMANDS
shows() {
    local shown
    shown=$(on "$1" "$3" 2>/dev/null)
    [ "$shown" = "$2" ] || { echo "$shown instead of $2" && return 1; }
}

start_guest 1
start_guest 2
