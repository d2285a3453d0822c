# The Debian packages hearth needs, by purpose. Sourced by setup.sh.

# To run hearth: the VMM, the tool that makes a root file system from Debian packages, and what
# opens a kernel package (dpkg and util-linux's flock are on every Debian machine).
RUN_PACKAGES="qemu-system-x86 mmdebstrap uidmap"

# To build the guest agent from source.
BUILD_PACKAGES="gcc make musl-tools libc6-dev"

# To run the tests: a real registry and a real pusher, judges of images and file systems, terminals and shells.
TEST_PACKAGES="docker-registry skopeo umoci e2fsprogs xfsprogs btrfs-progs qemu-utils busybox-static attr curl wget procps python3 python3-pip zstd xz-utils bzip2 cpio lz4 openssl git tmux zsh fish"
