# Helpers of the scripts in this directory. Sourced by bash, not run.
#
# What is installed is said in a visible line. Servers of packages are not started: neither at
# installation (policy-rc.d) nor later (no configuration is made for slapd).

# Repository root, absolute.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Build directory; a relative CARGO_TARGET_DIR counts from where cargo is started, the root.
target=$(cd "$root" && realpath -m "${CARGO_TARGET_DIR:-target}")

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "${0##*/}: $*"
    exit 1
}

# Runs a command as root: directly, or by sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "this needs root: $*; run it as root or install sudo"
    fi
}

package_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# install_packages PACKAGE...: in a shell of its own, so that the trap ends with it. Errors are looked
# at one by one: the caller's `||` switches `set -e` off.
install_packages() (
    policy=/usr/sbin/policy-rc.d
    saved=
    restore_policy() {
        as_root rm -f "$policy"
        if [ -n "$saved" ]; then as_root mv "$saved" "$policy"; fi
    }
    if [ -e "$policy" ]; then
        saved=$policy.saved-by-untether
        as_root mv "$policy" "$saved" || exit 1
    fi
    trap restore_policy EXIT
    trap 'exit 130' INT TERM
    # 101: "action forbidden by policy" (invoke-rc.d): nothing is started.
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null || exit 1
    as_root chmod 755 "$policy" || exit 1
    # Without a configuration the system's slapd does not start at the next boot either.
    case " $* " in
    *" slapd "*) printf 'slapd slapd/no_configuration boolean true\n' | as_root debconf-set-selections ;;
    esac
    apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq)
    as_root "${apt[@]}" update
    # dpkg's chatter goes to standard error: standard output is the caller's.
    as_root "${apt[@]}" install -y --no-install-recommends "$@" >&2
)

# need_packages PACKAGE...: installs those that are missing.
need_packages() {
    local package missing=()
    command -v dpkg-query >/dev/null ||
        fail "this is not Debian: install what corresponds to $* and start again"
    for package in "$@"; do
        package_installed "$package" || missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    say "installing packages: ${missing[*]} (no service of theirs is started)"
    install_packages "${missing[@]}" || fail "the packages ${missing[*]} could not be installed"
}

# Packages of the laboratory: servers, clients, further password schemes, SASL mechanisms (without
# them the servers would offer others than elsewhere), time zones.
need_lab_packages() {
    need_packages slapd ldap-utils slapd-contrib libsasl2-modules tzdata
}

# Puts cargo into PATH and makes sure of a C compiler and of make, which dependencies are built with.
need_cargo() {
    if ! command -v cargo >/dev/null && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
        PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    fi
    command -v cargo >/dev/null || fail "cargo is missing: install Rust from https://rustup.rs"
    command -v cc >/dev/null || need_packages gcc libc6-dev
    command -v make >/dev/null || need_packages make
}

# build_program PACKAGE BINARY: builds it and prints its path. Cargo runs in the root, where it
# finds the toolchain file; it is quiet unless the first build makes one wait. With
# UNTETHER_SKIP_BUILD set, a binary that is there is taken as it is.
build_program() {
    local path="$target/debug/$2" quiet=()
    if [ -n "${UNTETHER_SKIP_BUILD:-}" ] && [ -x "$path" ]; then
        printf '%s\n' "$path"
        return
    fi
    need_cargo >&2
    if [ -x "$path" ]; then
        quiet=(--quiet)
    else
        say "building $2 (the first time this takes a few minutes)"
    fi
    (cd "$root" && cargo build "${quiet[@]}" -p "$1" --bin "$2" >&2) ||
        fail "$2 could not be built"
    printf '%s\n' "$path"
}
