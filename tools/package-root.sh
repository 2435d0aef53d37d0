# shellcheck shell=bash
# Sourced after tools/suites.sh: builds packages in a root with another release of Debian, for what fits one release only.
# Wants root.
# shellcheck disable=SC2154
. rig/sources.sh

root_seconds=3600
root_work=
root_pid=

root_end() {
    [ -z "$root_pid" ] || kill -KILL "$root_pid" 2>/dev/null || true
    [ -z "$root_work" ] || rm -rf "$root_work"
}

# contained OPTION… COMMAND…: its processes and mounts are nobody else's and end with this one, even by SIGKILL. In the
# background, because bash would look at a signal only after the command.
contained() {
    local status=0
    setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc "$@" </dev/null &
    root_pid=$!
    wait "$root_pid" || status=$?
    root_pid=
    return "$status"
}

# What the root was made from.
root_stamp() {
    { echo "$1" && cat tools/package-root.sh rig/sources.sh && sed '/^$/q' debian/control; } | sha256sum | cut -d ' ' -f 1
}

# The build dependencies are those of debian/control, resolved there: another release has some under another name.
# shellcheck disable=SC2016
root_make() {
    local suite=$1 archive=$2
    apt_sources main "$suite" >"$root_work/sources.list" || return
    mkdir -p "$root_work/control/debian"
    cp debian/control "$root_work/control/debian/"
    TMPDIR=$root_work contained timeout "$root_seconds" nice mmdebstrap --mode=root --variant=buildd \
        --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --aptopt='Acquire::Languages "none"' \
        --aptopt='APT::Install-Recommends "false"' --customize-hook="copy-in '$root_work/control' /" \
        --customize-hook='chroot "$1" env DEBIAN_FRONTEND=noninteractive apt-get -y -q build-dep /control' \
        --format=tar "$suite" "$archive.new" "$root_work/sources.list" &&
        mv "$archive.new" "$archive"
}

# root_prepare SUITE FOLDER: makes the root, or finds the one that an earlier call left in FOLDER, and unpacks it.
root_prepare() {
    local suite=$1 archive=$2/root.tar parent=/tmp stamp
    stamp=$(root_stamp "$suite")
    # In RAM when there is room: dpkg writes each file to the disk, and waits.
    [ "$(df -k --output=avail /dev/shm | tail -n 1)" -lt 4000000 ] || parent=/dev/shm
    root_work=$(mktemp -d "$parent/package-root.XXXXXX")
    if [ "$(cat "$archive.stamp" 2>/dev/null)" != "$stamp" ]; then
        root_make "$suite" "$archive" || return
        echo "$stamp" >"$archive.stamp"
    fi
    mkdir "$root_work/root" &&
        tar -C "$root_work/root" -x -f "$archive"
}

# root_build SOURCE: dpkg-buildpackage there, which leaves its files beside SOURCE. The crates are those that cargo has here;
# a network it has not.
root_build() {
    local source=$1 root=$root_work/root
    local crates=${CARGO_HOME:-$HOME/.cargo}/registry
    mkdir -p "$root/build" "$root/root/.cargo/registry"
    # shellcheck disable=SC2016
    contained --net sh -euc '
        root=$1 folder=$2 name=$3 crates=$4 seconds=$5
        mount -t proc proc "$root/proc"
        mount --bind "$folder" "$root/build"
        mount --bind "$crates" "$root/root/.cargo/registry"
        mount -o remount,bind,ro "$root/root/.cargo/registry"
        exec timeout "$seconds" nice chroot "$root" env -i --chdir="/build/$name" HOME=/root LC_ALL=C.UTF-8 \
            PATH=/usr/sbin:/usr/bin:/sbin:/bin CARGO_NET_OFFLINE=true ${CARGO_BUILD_JOBS:+CARGO_BUILD_JOBS="$CARGO_BUILD_JOBS"} \
            dpkg-buildpackage -us -uc -b
    ' sh "$root" "$(dirname "$source")" "$(basename "$source")" "$crates" "$root_seconds"
}
