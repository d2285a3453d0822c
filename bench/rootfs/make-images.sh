#!/bin/sh
# Makes the two images of the rootfs benchmark as OCI layouts, with the packages of this host's apt sources:
#   DIR/single   debian 12 minbase, one gzip layer
#   DIR/build    four gzip layers: minbase, a C tool chain, interpreters and git, then whiteouts, opaque
#                directories, hard links and overwrites
# Usage: make-images.sh DIR. Needs mmdebstrap, umoci and, for the package managers inside, user namespaces or root.
set -eu

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
directory=$1
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
[ -e "$directory/done" ] && exit 0
work=$(mktemp -d "$directory/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

umask 022
SOURCE_DATE_EPOCH=1700000000
export SOURCE_DATE_EPOCH

# Everything is one root file system that grows; what is new since the last stage becomes a layer.
echo "rootfs: three package sets" >&2
mmdebstrap --quiet --variant=minbase bookworm "$work/base.tar"
mmdebstrap --quiet --variant=minbase --include=gcc,g++,make,libc6-dev,pkg-config bookworm "$work/tools.tar"
mmdebstrap --quiet --variant=minbase \
  --include=gcc,g++,make,libc6-dev,pkg-config,git,python3,perl,ca-certificates,curl bookworm "$work/full.tar"

# The entries of $2 that are not, byte for byte, in $1: a tar of changes, as image builders make it.
changes() {
  python3 - "$1" "$2" "$3" <<'PYTHON'
import hashlib, sys, tarfile

def read(path):
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            body = hashlib.sha256(archive.extractfile(member).read()).digest() if member.isreg() else b''
            found[member.name] = (member.type, member.mode, member.uid, member.gid, member.linkname, body)
    return found

old = read(sys.argv[1])
with tarfile.open(sys.argv[2]) as source, tarfile.open(sys.argv[3], 'w', format=tarfile.PAX_FORMAT) as out:
    links = {m.linkname for m in source if m.islnk() and (m.name not in old or old[m.name][4] != m.linkname)}
    for member in source:
        body = hashlib.sha256(source.extractfile(member).read()).digest() if member.isreg() else b''
        key = (member.type, member.mode, member.uid, member.gid, member.linkname, body)
        if old.get(member.name) == key and member.name not in links:
            continue
        member.pax_headers = {}
        out.addfile(member, source.extractfile(member) if member.isreg() else None)
PYTHON
}
changes "$work/base.tar" "$work/tools.tar" "$work/layer2.tar"
changes "$work/tools.tar" "$work/full.tar" "$work/layer3.tar"

# The last layer: what a build step leaves behind.
python3 - "$work/layer4.tar" "$work/full.tar" <<'PYTHON'
import io, sys, tarfile

with tarfile.open(sys.argv[2]) as full:
    names = {m.name: m for m in full}
    bins = [n for n, m in names.items() if n.startswith('./usr/bin/') and m.isreg()][:40]
    bodies = {n: full.extractfile(names[n]).read() for n in bins}
with tarfile.open(sys.argv[1], 'w', format=tarfile.PAX_FORMAT) as out:
    def add(name, body=b'', kind=tarfile.REGTYPE, link='', mode=0o644):
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.mode, info.mtime = kind, link, mode, 1700000000
        info.size = len(body)
        out.addfile(info, io.BytesIO(body))
    add('./usr/share', kind=tarfile.DIRTYPE, mode=0o755)
    for name in ('doc', 'man', 'locale'):
        add('./usr/share/.wh.' + name)
    add('./var/cache/apt', kind=tarfile.DIRTYPE, mode=0o755)
    add('./var/cache/apt/.wh..wh..opq')
    add('./var/lib/apt/lists', kind=tarfile.DIRTYPE, mode=0o755)
    add('./var/lib/apt/lists/.wh..wh..opq')
    for i, name in enumerate(bins):
        add(name, bodies[name], mode=0o755)
        add(name + '.orig', kind=tarfile.LNKTYPE, link=name)
    add('./app', kind=tarfile.DIRTYPE, mode=0o755)
    block = bytes(range(256)) * 16
    for i in range(2000):
        add('./app/module-%04d.js' % i, block[i % 64:] + str(i).encode() * (i % 50))
PYTHON

echo "rootfs: two image layouts" >&2
gzip -6n < "$work/base.tar" > "$work/base.tar.gz"
layout() {
  name=$1
  shift
  python3 - "$directory/$name" "$name" "$@" <<'PYTHON'
import gzip, hashlib, json, os, shutil, sys

root, name, *layers = sys.argv[1:]
os.makedirs(root + '/blobs/sha256')
def put(data):
    digest = hashlib.sha256(data).hexdigest()
    with open(root + '/blobs/sha256/' + digest, 'wb') as f:
        f.write(data)
    return {'digest': 'sha256:' + digest, 'size': len(data)}
diff_ids, descriptors = [], []
for path in layers:
    raw = open(path, 'rb').read()
    diff_ids.append('sha256:' + hashlib.sha256(raw).hexdigest())
    packed = put(gzip.compress(raw, 6, mtime=0))
    descriptors.append({'mediaType': 'application/vnd.oci.image.layer.v1.tar+gzip', **packed})
config = put(json.dumps({'architecture': 'amd64', 'os': 'linux', 'config': {'Cmd': ['bash']},
    'rootfs': {'type': 'layers', 'diff_ids': diff_ids}}).encode())
manifest = put(json.dumps({'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.manifest.v1+json',
    'config': {'mediaType': 'application/vnd.oci.image.config.v1+json', **config}, 'layers': descriptors}).encode())
index = {'schemaVersion': 2, 'manifests': [{'mediaType': 'application/vnd.oci.image.manifest.v1+json', **manifest,
    'annotations': {'org.opencontainers.image.ref.name': name}}]}
json.dump(index, open(root + '/index.json', 'w'))
json.dump({'imageLayoutVersion': '1.0.0'}, open(root + '/oci-layout', 'w'))
PYTHON
}
rm -rf "$directory/single" "$directory/build"
layout single "$work/base.tar"
layout build "$work/base.tar" "$work/layer2.tar" "$work/layer3.tar" "$work/layer4.tar"
: > "$directory/done"
