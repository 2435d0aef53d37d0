# shellcheck shell=bash
# Sourced after tools/suites.sh: makes what a guest of the rig needs to run the installed plugin, and starts commands in one.

rig_suite=${RIG_SUITE:-$(own_release)}
rig_packages=$(packages_of "$rig_suite")
rig_stage=$target/rig/stage

# Debug symbols are not needed there, and each start would read them. Built here, it runs there as long as the release there is
# not an older one.
rig_copy_sim() {
    cargo build --quiet --locked --package truenas-sim
    mkdir -p "$rig_stage/target/rig/bin"
    strip -o "$rig_stage/target/rig/bin/truenas-sim" "$target/debug/truenas-sim"
}

rig_packages_are_new() {
    local built sources=(debian lib man src xs Cargo.toml Cargo.lock Makefile.PL build.rs tools/package tools/package-root.sh)
    built=$(find "$rig_packages" -maxdepth 1 -name 'pve-storage-truenas-native_*.deb' 2>/dev/null)
    [ -n "$built" ] && [ -z "$(find "${sources[@]}" -newer "$built" -print -quit)" ]
}

# Without a blib/ beside it tools/pvesm takes the installed plugin.
rig_prepare() {
    rig/setup
    rig/build --suite "$rig_suite"
    rig_packages_are_new || tools/package --suite "$rig_suite"
    mkdir -p "$rig_stage/t"
    rm -rf "${rig_stage:?}/tools" "$rig_stage/t/lib" "$rig_stage/rig"
    cp -r tools "$rig_stage/"
    cp -r t/lib "$rig_stage/t/"
    mkdir "$rig_stage/rig"
    cp -r rig/tests rig/recordings "$rig_stage/rig/"
    rig_copy_sim
}

# rig_run OPTION… -- COMMAND…: in a fresh guest with the packages installed.
rig_run() {
    rig/run --suite "$rig_suite" --install "$rig_packages" --share "$rig_stage" --env RIG_CHECKOUT=/mnt/share "$@"
}
