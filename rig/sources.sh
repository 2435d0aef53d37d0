# shellcheck shell=bash
# Sourced: apt sources of any release of Debian, from the mirrors that this machine has.

# mirror_of main, mirror_of security: they have the other releases too.
# shellcheck disable=SC2016
mirror_of() {
    local wanted
    # shellcheck source=/dev/null
    wanted=$(. /etc/os-release && echo "$VERSION_CODENAME")
    [ "$1" = main ] || wanted+=-$1
    apt-get indextargets --format '$(CREATED_BY) $(RELEASE) $(REPO_URI)' |
        awk -v wanted="$wanted" '$1 == "Packages" && $2 == wanted { print $3; exit }'
}

# apt_sources COMPONENTS SUITE [BACKPORTS]
apt_sources() {
    local components=$1 suite main security
    local signed='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
    main=$(mirror_of main)
    security=$(mirror_of security)
    [ -n "$main" ] || { echo 'apt has no source for this release of Debian' >&2 && return 1; }
    for suite in "${@:2}" "$2-updates"; do
        echo "deb $signed $main $suite $components"
    done
    [ -z "$security" ] || echo "deb $signed $security $2-security $components"
}
