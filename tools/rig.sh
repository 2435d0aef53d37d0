# shellcheck shell=bash
# Sourced after tools/suites.sh: makes what a guest of the rig needs to run the installed plugin, and starts commands in one.

# A compiled perl module fits one release of Debian only.
# shellcheck source=/dev/null
rig_suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
rig_stage=$target/rig/stage

# Debug symbols are not needed there, and each start would read them.
rig_copy_sim() {
    cargo build --quiet --locked --package truenas-sim
    mkdir -p "$rig_stage/target/rig/bin"
    strip -o "$rig_stage/target/rig/bin/truenas-sim" "$target/debug/truenas-sim"
}

rig_packages_are_new() {
    local built
    built=$(find "$target/package" -maxdepth 1 -name 'pve-storage-truenas-native_*.deb' 2>/dev/null)
    [ -n "$built" ] &&
        [ -z "$(find debian lib man src xs Cargo.toml Cargo.lock Makefile.PL build.rs tools/package -newer "$built" -print -quit)" ]
}

# Without a blib/ beside it tools/pvesm takes the installed plugin.
rig_prepare() {
    rig/setup
    rig/build --suite "$rig_suite"
    rig_packages_are_new || tools/package
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
    rig/run --suite "$rig_suite" --install "$target/package" --share "$rig_stage" --env RIG_CHECKOUT=/mnt/share "$@"
}
