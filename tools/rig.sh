# shellcheck shell=bash
# Sourced after tools/suites.sh: makes what a guest of the rig needs to run the installed plugin, and starts commands in one.

rig_suite=${RIG_SUITE:-$(own_release)}
rig_packages=$(packages_of "$rig_suite")
rig_stage=$target/rig/stage
rig_state=$target/rig/installed-$rig_suite

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

# Installing takes the emulated machine longer than many a test takes: it is done once, and every guest goes on from there.
rig_save_installed() {
    local stamp folder
    stamp=$({ cat "$target/rig/$rig_suite/stamp" && sha256sum "$rig_packages"/*.deb; } | sha256sum)
    [ "$(cat "$rig_state.stamp" 2>/dev/null)" != "$stamp" ] || return 0
    rm -f "$rig_state.stamp"
    folder=$(mktemp -d)
    rig/run --suite "$rig_suite" --install "$rig_packages" --up "$folder/guest"
    rig/run --save "$folder/guest" "$rig_state"
    rmdir "$folder"
    echo "$stamp" >"$rig_state.stamp"
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
    rig_save_installed
}

# rig_run OPTION… -- COMMAND…: in a fresh guest with the packages installed.
rig_run() {
    rig/run --suite "$rig_suite" --from "$rig_state" --share "$rig_stage" --env RIG_CHECKOUT=/mnt/share "$@"
}
