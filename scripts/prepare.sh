# Functions that install what a command needs when it is missing. Sourced, not run.

say() { echo "==> $*" >&2; }

# Installs Debian packages unless the command they bring is there already: need COMMAND PACKAGE...
need() {
  local command=$1
  shift
  command -v "$command" >/dev/null 2>&1 && return
  say "$command is missing: installing $*"
  local root=()
  [ "$(id -u)" = 0 ] || root=(sudo)
  "${root[@]}" apt-get update -qq
  "${root[@]}" apt-get install -y -qq "$@" >/dev/null
}

need_rust() {
  need cc gcc libc6-dev
  if ! command -v cargo >/dev/null 2>&1; then
    echo "Rust is missing. Install it from https://rustup.rs and run this again." >&2
    exit 1
  fi
}
