#!/bin/bash
# scripts/debian.sh GROUP...: installs the Debian packages that groups of tests and targets need, if a
# program is missing. Without root it prints the command to run, and exits with 1.
set -euo pipefail

declare -A programs=(
  [peers]="go curl" [browser]="chromium chromedriver" [prometheus]="promtool" [registry]="docker-registry skopeo"
  [images]="buildah runc debootstrap" [containers]="podman buildah skopeo runc catatonit aardvark-dns debootstrap"
)
declare -A packages=(
  [peers]="golang-go golang-github-containerd-ttrpc-dev curl" [browser]="chromium chromium-driver fonts-dejavu-core"
  [prometheus]="prometheus" [registry]="docker-registry skopeo" [images]="buildah runc debootstrap"
  [containers]="podman buildah skopeo runc catatonit containernetworking-plugins netavark aardvark-dns debootstrap"
)

missing=()
for group in "$@"; do
  for program in ${programs[$group]}; do
    PATH=$PATH:/usr/sbin:/usr/lib/podman command -v "$program" >/dev/null || { missing+=(${packages[$group]}); break; }
  done
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing ${missing[*]}"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}"; } >/dev/null 2>&1 && exit 0
fi
echo "needed: apt-get install ${missing[*]}" >&2
exit 1
