# shellcheck shell=bash
# Steps of a demonstration, each with checks. A step counts when what it printed was checked, and fails when a check did.

steps=0
failed=0
checks=0
step_ok=yes

step() {
    finish_step
    steps=$((steps + 1))
    printf '\n%d. %s\n' "$steps" "$1"
}

finish_step() {
    if [ "$steps" != 0 ] && { [ "$step_ok" = no ] || [ "$checks" = 0 ]; }; then
        failed=$((failed + 1))
    fi
    step_ok=yes
    checks=0
}

check() {
    local text=$1
    shift
    checks=$((checks + 1))
    if "$@"; then
        echo "   ok: $text"
    else
        echo "   NOT SO: $text"
        step_ok=no
    fi
}

equal() {
    [ "$1" = "$2" ] || { printf '   expected: %s\n   found:    %s\n' "$2" "$1" && return 1; }
}

has() {
    [[ $1 == *"$2"* ]]
}

lacks() {
    [[ $1 != *"$2"* ]]
}

demo_closing() {
    finish_step
    printf '\ndemo: %d steps, %d failed\n' "$steps" "$failed"
    [ "$failed" = 0 ]
}
