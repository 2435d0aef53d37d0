# shellcheck shell=bash
# Sourced after tools/suites.sh: builds packages in a root with another release of Debian, for what fits one release only.
# Wants root.
# shellcheck disable=SC2154
. rig/sources.sh

root_seconds=3600
root_archive=
root_work=
root_pid=

root_end() {
    [ -z "$root_pid" ] || kill -KILL "$root_pid" 2>/dev/null || true
    [ -z "$root_work" ] || rm -rf "$root_work" "$root_archive.new"
}

# contained OPTION COMMAND…: its processes and mounts are nobody else's and end with this one, even by SIGKILL. OPTION is one of
# unshare's, or nothing. $TMPDIR is in RAM when there is room: dpkg writes each file to the disk, and waits. In the background,
# because bash would look at a signal only after the command.
contained() {
    local status=0
    # shellcheck disable=SC2016
    TMPDIR=$root_work/root setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc ${1:+"$1"} sh -euc '
        if [ "$(sed -n "s/^MemAvailable: *\([0-9]*\) .*/\1/p" /proc/meminfo)" -gt 6000000 ]; then
            mount -t tmpfs -o mode=755 tmpfs "$TMPDIR"
        fi
        exec timeout --kill-after=10 "$@"
    ' sh "$root_seconds" nice "${@:2}" </dev/null &
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
    apt_sources main "$1" >"$root_work/sources.list" || return
    mkdir -p "$root_work/control/debian"
    cp debian/control "$root_work/control/debian/"
    contained '' mmdebstrap --mode=root --variant=buildd --dpkgopt=force-unsafe-io \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --aptopt='Acquire::Languages "none"' \
        --aptopt='APT::Install-Recommends "false"' --customize-hook="copy-in '$root_work/control' /" \
        --customize-hook='chroot "$1" env DEBIAN_FRONTEND=noninteractive apt-get -y -q build-dep /control' \
        --format=tar "$1" "$root_archive.new" "$root_work/sources.list" &&
        mv "$root_archive.new" "$root_archive"
}

# root_prepare SUITE FOLDER: makes the root as an archive in FOLDER, or finds the one that an earlier call left there.
root_prepare() {
    local stamp
    stamp=$(root_stamp "$1")
    root_archive=$2/root.tar
    root_work=$(mktemp -d "${TMPDIR:-/tmp}/package-root.XXXXXX")
    mkdir "$root_work/root"
    [ "$(cat "$root_archive.stamp" 2>/dev/null)" != "$stamp" ] || return 0
    root_make "$1" && echo "$stamp" >"$root_archive.stamp"
}

# root_build SOURCE: dpkg-buildpackage there, which leaves its files beside SOURCE. The crates are those that cargo has here;
# a network it has not.
# shellcheck disable=SC2016
root_build() {
    contained --net sh -euc '
        archive=$1 folder=${2%/*} name=${2##*/} crates=$3 jobs=$4
        tar -C "$TMPDIR" -x -f "$archive"
        cd "$TMPDIR"
        mkdir -p build root/.cargo/registry
        mount -t proc proc proc
        mount --bind "$folder" build
        mount --bind "$crates" root/.cargo/registry
        mount -o remount,bind,ro root/.cargo/registry
        exec chroot . env -i --chdir="/build/$name" HOME=/root LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            CARGO_NET_OFFLINE=true ${jobs:+CARGO_BUILD_JOBS="$jobs"} dpkg-buildpackage -us -uc -b
    ' sh "$root_archive" "$1" "${CARGO_HOME:-$HOME/.cargo}/registry" "${CARGO_BUILD_JOBS-}"
}
