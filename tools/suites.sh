# shellcheck shell=bash
# Sourced from the top of the checkout: runs suites, keeps what they print and how long they took, and reads their
# closing lines.

target=${CARGO_TARGET_DIR:-$PWD/target}
suites=$target/suites
mkdir -p "$suites"

# shellcheck source=/dev/null
own_release() {
    (. /etc/os-release && echo "$VERSION_CODENAME")
}

# packages_of RELEASE: where tools/package puts them. A compiled perl module fits one release of Debian only.
packages_of() {
    if [ "$1" = "$(own_release)" ]; then
        echo "$target/package"
    else
        echo "$target/package-$1"
    fi
}

# suite NAME COMMAND…
suite() {
    local name=$1 start=$SECONDS status=0
    shift
    "$@" 2>&1 | tee "$suites/$name.log" || status=$?
    echo "$status $((SECONDS - start))" >"$suites/$name.result"
    return "$status"
}

# The lines in which the runners of a suite say how it went.
closing() {
    grep -hE '^ *Summary \[|^test result: |^Files=[0-9]+, Tests=|^Result: |^([a-z-]+: )?[0-9]+ passed, [0-9]+ failed|^demo: [0-9]+ steps' \
        "$suites/$1.log" 2>/dev/null || true
}

# How many tests of a suite passed, by its closing lines.
passed() {
    closing "$1" | awk '
        match($0, /[0-9]+ passed/) { n += substr($0, RSTART, RLENGTH) + 0; next }
        match($0, /Tests=[0-9]+/) { n += substr($0, RSTART + 6, RLENGTH - 6) + 0; next }
        /^demo: [0-9]+ steps, 0 failed/ { n += $2 }
        END { print n + 0 }'
}

# count_check TEXT COMMAND…: one check of a suite that has no runner. Sets the totals that count_closing prints.
checks_passed=0
checks_failed=0
count_check() {
    local text=$1
    shift
    if "$@"; then
        echo "ok   $text"
        checks_passed=$((checks_passed + 1))
    else
        echo "FAIL $text"
        checks_failed=$((checks_failed + 1))
    fi
}

count_closing() {
    echo "$1: $checks_passed passed, $checks_failed failed"
    [ "$checks_failed" = 0 ]
}

# quietly COMMAND…: shows what it printed only when it fails.
quietly() {
    local log
    log=$(mktemp "$suites/quiet.XXXXXX")
    if "$@" >"$log" 2>&1; then
        rm "$log"
    else
        cat "$log" >&2
        rm "$log"
        return 1
    fi
}
