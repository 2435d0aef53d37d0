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

# start_guest NODE [PACKAGES]: with those of this checkout where none are given, as they were saved.
start_guest() {
    if [ "$#" = 1 ]; then
        rig_run --link "$1:$folder/cable" --up "$folder/$1"
    else
        rig/run --suite "$rig_suite" --install "$2" --share "$rig_stage" --link "$1:$folder/cable" --up "$folder/$1"
    fi
}

# shows NODE WANTED COMMANDS
shows() {
    local shown
    shown=$(on "$1" "$3" 2>/dev/null)
    [ "$shown" = "$2" ] || { echo "$shown instead of $2" && return 1; }
}
