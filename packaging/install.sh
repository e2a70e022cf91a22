#!/bin/sh
# Installs the program of a release of Vestibule, after its checksum was compared:
#
#   curl -fsSL https://github.com/vestibule-idp/vestibule/releases/latest/download/install.sh | sh
#
# Options, after `sh -s --`:
#   --version VERSION   that release instead of the latest, such as 0.1.0
#   --to FOLDER         where the program goes (default: ~/.local/bin)
#   --from URL          a mirror of https://github.com/vestibule-idp/vestibule/releases
set -eu

fail() {
  echo "install.sh: $*" >&2
  exit 1
}

# The name of this machine among the files of a release.
target() {
  case $(uname -s) in
    Linux) system=linux ;;
    Darwin) system=macos ;;
    MINGW* | MSYS* | CYGWIN*) system=windows ;;
    *) fail "there is no program for $(uname -s): cargo install vestibule --locked --features otel" ;;
  esac
  case $(uname -m) in
    x86_64 | amd64) processor=x64 ;;
    aarch64 | arm64) processor=arm64 ;;
    *) fail "there is no program for $(uname -m): cargo install vestibule --locked --features otel" ;;
  esac
  libc=
  for loader in /lib/ld-musl-*; do
    if [ -e "$loader" ] && [ "$system" = linux ]; then libc=-musl; fi
  done
  echo "$system-$processor$libc"
}

download() {
  if command -v curl >/dev/null; then
    curl --fail --silent --show-error --location --retry 3 --output "$2" "$1" || fail "$1 cannot be downloaded"
  elif command -v wget >/dev/null; then
    wget -q -O "$2" "$1" || fail "$1 cannot be downloaded"
  else
    fail "needs curl or wget"
  fi
}

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

main() {
  version=
  to=$HOME/.local/bin
  releases=https://github.com/vestibule-idp/vestibule/releases
  while [ $# -gt 0 ]; do
    case $1 in
      --version) version=${2:?--version needs a value} && shift 2 ;;
      --to) to=${2:?--to needs a value} && shift 2 ;;
      --from) releases=${2:?--from needs a value} && shift 2 ;;
      *) fail "unknown option: $1" ;;
    esac
  done
  if [ -n "$version" ]; then
    from=$releases/download/v${version#v}
  else
    from=$releases/latest/download
  fi
  target=$(target)
  file=vestibule-$target
  program=vestibule
  case $target in
    windows-*) file=$file.exe && program=vestibule.exe ;;
  esac

  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  download "$from/SHA256SUMS" "$folder/SHA256SUMS"
  wanted=$(sed -n "s/^\([0-9a-f]\{64\}\)  $file\$/\1/p" "$folder/SHA256SUMS")
  [ -n "$wanted" ] || fail "$from has no $file"
  download "$from/$file" "$folder/$program"
  found=$(sha256 "$folder/$program")
  [ "$found" = "$wanted" ] || fail "$from/$file has the checksum $found; SHA256SUMS says $wanted. Nothing was installed."
  chmod 755 "$folder/$program"
  "$folder/$program" --version >/dev/null || fail "$file does not run on this machine"
  mkdir -p "$to"
  mv "$folder/$program" "$to/$program"
  echo "installed $("$to/$program" --version) as $to/$program"
  case :$PATH: in
    *:"$to":*) ;;
    *) echo "$to is not in PATH: add it, or call the program by its path" ;;
  esac
}

# At the end, so that half a script does nothing.
main "$@"
