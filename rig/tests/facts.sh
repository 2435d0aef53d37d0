# shellcheck shell=bash
# Sourced after lib.sh: facts of a node as text, in which numbers that the kernel gave have names.

facts=$work/facts
: >"$facts"
: >"$work/names"

# called REAL NAME
called() {
    local real
    [ -n "$1" ] || return 1
    real=$(sed 's/[][\.*^$]/\\&/g' <<<"$1")
    echo "s|\\b$real\\b|$2|g" >>"$work/names"
}

# called_anywhere REAL NAME: within a word, too.
called_anywhere() {
    echo "s|$1|$2|g" >>"$work/names"
}

# The names given last count first: the kernel gives a number again.
normalised() {
    sed "s|$node/|/|g; s|$work|WORK|g" | sed -f <(tac "$work/names")
}

section() {
    echo "== $1: $2" >>"$facts"
}

say() {
    normalised >>"$facts"
}

# fact TEXT COMMAND…: how it ended and what it printed.
fact() {
    local text=$1 status=0
    shift
    "$@" >"$work/fact" 2>&1 || status=$?
    echo "$text: exit $status" | say
    sed 's/^/    /' "$work/fact" | said_by_programs | say
}

# Times and numbers of processes are nobody's fact.
said_by_programs() {
    sed -E 's/\[sid: [0-9]+/[sid: N/; s/^( *)([0-9]+\.[0-9]+|[A-Z][a-z]{2} [0-9]+ [0-9:]+) \| /\1/'
}

# names FOLDER
names() {
    ls "$1" 2>/dev/null
}

# show FOLDER ATTRIBUTE…
show() {
    local folder=$1 attribute value
    shift
    for attribute in "$@"; do
        value=$(cat "$node/sys/$folder/$attribute" 2>"$work/why") || value="($(sed 's/.*: //' "$work/why"))"
        echo "$folder/$attribute = $value" | say
    done
}

# Where the folder really is, too.
show_folder() {
    echo "$1 -> $(realpath -m --relative-to "$(realpath "$node/sys")" "$node/sys/$1")" | say
    show "$@"
}

show_mode() {
    echo "$1 mode $(stat -L -c %a "$node/sys/$1")" | say
}

show_names() {
    echo "$1: $(names "$node/sys/$1" | normalised | sort | tr '\n' ' ')" | say
}

# Links of udev to disks and maps.
show_links() {
    local link
    for link in "$node"/dev/disk/by-id/wwn-* "$node"/dev/mapper/3*; do
        [ -L "$link" ] && echo "${link#"$node"} -> $(basename "$(readlink "$link")")"
    done | normalised | sort | say
}

show_records() {
    (cd "$(records)" 2>/dev/null && find . -mindepth 1 -printf '%P %y %m\n' | sort) | say
    grep -rhE '^node\.(startup|session\.scan|session\.auth\.authmethod|name|tpgt|conn\[0\]\.address|conn\[0\]\.port) = ' \
        "$(records)" 2>/dev/null | sort | uniq -c | sed 's/^ */    /' | say
}

show_wwids() {
    echo "wwids: $(grep '^/3' "$node/etc/multipath/wwids" 2>/dev/null | tr '\n' ' ')" | say
}

maps() {
    find "$node/sys/block" -name 'dm-*' | wc -l
}

# Announcements of kernel and udev, from here to show_events.
watch_events() {
    : >"$work/events"
    stdbuf -oL udevadm monitor --kernel --udev --subsystem-match=block >"$work/events" 2>&1 &
    monitor=$!
    until_true 10 grep -q '^KERNEL - ' "$work/events"
    sleep 0.2
}

# The monitor prints a moment after udev is done. Which there are counts; how often and in which order is chance.
show_events() {
    sleep 0.3
    kill "$monitor"
    wait "$monitor" 2>/dev/null
    sed -nE 's/^(KERNEL|UDEV) *\[[0-9.]+\] ([a-z]+) +.*\/([^ ]+) \(block\)$/\1 \2 \3/p' "$work/events" |
        sed 's/^/    event: /' | normalised | grep -E ' (disk|map)-[0-9]+$' | sort -u | say
}

settle() {
    udevadm settle
}

# multipath says "in use" while udev looks at the map (see rig/README.md).
flush() {
    until_true 10 multipath -f "$1" 2>&1
}

compare_facts() {
    local recording section
    recording=$(dirname "${BASH_SOURCE[0]}")/../recordings/node.$(node_release)
    if [ -n "${RIG_RECORD-}" ]; then
        cp "$facts" "$RIG_RECORD"
        return
    fi
    for section in $(sed -n 's/^== \([a-z-]*\):.*/\1/p' "$recording"); do
        check "$section is as it was recorded" diff <(section_of "$section" "$recording") <(section_of "$section" "$facts")
    done
    closing node
}

# section_of NAME FILE
section_of() {
    sed -n "/^== $1:/,/^== /{/^== /d;p}" "$2"
}
